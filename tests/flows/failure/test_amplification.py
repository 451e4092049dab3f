"""P16: one layer retries. What the gateway has tried and refused for load, the SDK does not try again on its own."""

from __future__ import annotations

import openai
import pytest

from tests.support.asking import ask, body, sdk
from tests.support.stand import Stand


@pytest.mark.parametrize("directive", ["fault=status,status=503", "fault=status,status=429", "fault=accept_silent"])
def test_p16_overload_and_timeouts_are_not_retried_by_the_sdk(clean: Stand, directive: str, stream: bool) -> None:
    answer = ask(clean.client, body(directive, stream=stream))
    assert answer.headers["x-should-retry"] == "false"
    before = clean.started()
    with sdk(clean.gateway.url, max_retries=2) as client, pytest.raises(openai.InternalServerError):
        client.chat.completions.create(**body(directive, stream=stream))
    assert 1 <= clean.started() - before <= 2  # each replica once at most, and no second one while both push back


def test_p16_what_another_attempt_may_mend_is_left_to_the_sdk(clean: Stand) -> None:
    answer = ask(clean.client, body("fault=reset", model="lone"))
    assert answer.status == 502
    assert "x-should-retry" not in answer.headers


def test_p16_attempts_are_bounded_by_the_number_of_replicas(clean: Stand, stream: bool) -> None:
    ask(clean.client, body("fault=status,status=500", stream=stream))
    assert [replica.stats()["started"] for replica in clean.fleet.replicas] == [1, 1]


def test_p16_after_content_nothing_is_tried_again(clean: Stand) -> None:
    ask(clean.client, body("fault=reset_after,after=1", stream=True))
    assert clean.started() == 1
