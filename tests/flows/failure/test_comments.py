"""P28: while a stream waits for a token, comments keep it alive, and errors before them keep their status."""

from __future__ import annotations

import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from typing import Any

import openai
import pytest

from loadtests.prove.answers import Answer
from tests.support.asking import ask, body, request_bytes, sdk_text, text
from tests.support.raw import RawClient
from tests.support.stand import Stand, standing

GRACE, EVERY = 0.4, 0.1
"""Seconds: who answers at once must do so on a busy machine, too, before a comment comes."""
TIMER = 4.0


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    log: Path = tmp_path_factory.mktemp("records") / "records.jsonl"
    with standing(log, {"first_token": TIMER, "comment_grace": GRACE, "comment_every": EVERY}) as running:
        yield running


def twice(stand: Stand, wanted: dict[str, Any]) -> tuple[Answer, Future[str]]:
    """The bare answer, without more comments than its time has; and the text that the SDK makes of another then."""
    with ThreadPoolExecutor(1) as pool:
        by_sdk = pool.submit(sdk_text, stand.gateway.url, wanted)
        began = time.monotonic()
        answer = ask(stand.client, wanted)
        assert answer.comments <= (time.monotonic() - began) / EVERY
        return answer, by_sdk


def test_p28_a_slow_first_token_is_bridged_by_comments(clean: Stand) -> None:
    answer, by_sdk = twice(clean, body("ttft_ms=2200", model="lone", stream=True))
    assert answer.status == 200
    assert answer.comments >= 3
    assert answer.raw.startswith(b": ")  # nothing but comments before the first chunk
    assert (answer.error, answer.text, answer.finish_reasons, answer.done) == (None, text(12), ["stop"], True)
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.headers["x-accel-buffering"] == "no"
    assert answer.headers["cache-control"] == "no-cache"
    plain = ask(clean.client, body(model="lone", stream=True))
    assert plain.comments == 0
    bare = [{**event, "id": ""} for event in answer.events]
    assert bare == [{**event, "id": ""} for event in plain.events]  # the chunks are unchanged
    assert by_sdk.result() == text(12)


def test_p28_a_pause_between_tokens_is_bridged_by_comments(clean: Stand) -> None:
    answer, by_sdk = twice(clean, body("tokens=3,delay_ms=700", model="lone", stream=True))
    assert answer.comments >= 4
    assert not answer.raw.startswith(b": ")
    assert (answer.error, answer.text, answer.finish_reasons, answer.done) == (None, text(3), ["stop"], True)
    assert by_sdk.result() == text(3)


def test_p28_a_unary_answer_never_gets_a_comment(clean: Stand) -> None:
    answer = ask(clean.client, body("service_ms=700", model="lone"))
    assert (answer.status, answer.text) == (200, text(12))


def test_p28_an_error_before_the_first_comment_keeps_its_status(clean: Stand) -> None:
    answer = ask(clean.client, body("fault=status,status=503", model="lone", stream=True))
    assert (answer.status, answer.comments) == (503, 0)


def test_p28_no_comment_comes_before_the_grace_is_over(tmp_path: Path) -> None:
    times = {"first_token": 0.5, "comment_grace": 20, "comment_every": EVERY}
    with standing(tmp_path / "records.jsonl", times) as patient:
        answer = ask(patient.client, body("fault=accept_silent", model="lone", stream=True))
        assert (answer.status, answer.comments) == (504, 0)


def test_p28_a_failure_after_a_comment_is_an_error_event_under_200(clean: Stand) -> None:
    answer, by_sdk = twice(clean, body("fault=accept_silent", model="lone", stream=True))
    assert answer.comments > 0
    assert answer.error is not None
    assert (answer.status, answer.error["code"], answer.finish_reasons) == (200, "upstream_timeout", [])
    with pytest.raises(openai.APIError) as caught:
        by_sdk.result()
    assert caught.value.code == "upstream_timeout"


def test_p28_after_a_comment_but_before_content_a_failure_still_fails_over(clean: Stand) -> None:
    clean.fleet.replicas[0].set(fault="accept_silent")
    answers = [ask(clean.client, body(stream=True)) for _ in range(2)]
    assert [(one.status, one.error, one.text) for one in answers] == [(200, None, text(12))] * 2
    assert sorted(one.comments > 0 for one in answers) == [False, True]


def test_p28_a_client_that_leaves_among_comments_is_noticed(clean: Stand) -> None:
    with RawClient(clean.gateway.url) as client:
        client.socket.sendall(request_bytes(body("fault=accept_silent", model="lone", stream=True)))
        client.until(b": keep-alive\n\n")
    (call,) = clean.fleet.replicas[0].wait_for(lambda calls: bool(calls and calls[0].end))
    assert call.outcome == "cancelled"
