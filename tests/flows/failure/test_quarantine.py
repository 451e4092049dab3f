"""P14: a prompt that took two model servers down is refused before it takes the third."""

from __future__ import annotations

import pytest

from tests.support.asking import ask, body
from tests.support.stand import Stand


@pytest.mark.parametrize("fault", ["fault=reset", "fault=reset_after,after=0"])
def test_p14_a_prompt_that_broke_two_servers_is_refused_the_third_time(clean: Stand, fault: str, stream: bool) -> None:
    poison = body(fault, stream=stream)
    assert ask(clean.client, poison).status == 502  # both replicas, one after the other
    before = clean.started()
    refused = ask(clean.client, poison)
    assert refused.error is not None
    assert (refused.status, refused.error["code"]) == (400, "prompt_quarantined")
    assert (refused.error["type"], refused.error["param"]) == ("invalid_request_error", "messages")
    assert clean.started() == before
    assert ask(clean.client, body("tokens=3", stream=stream)).status == 200


def test_p14_a_refusal_or_a_silence_is_no_death(clean: Stand, stream: bool) -> None:
    for fault in ("fault=status,status=500", "fault=accept_silent"):
        suspect = body(fault, stream=stream)
        assert ask(clean.client, suspect).status >= 500
        assert ask(clean.client, suspect).status >= 500
