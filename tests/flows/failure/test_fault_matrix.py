"""P06: every fault of the matrix ends as a success, a fail-over or an explicit error, never as a shortened success."""

from __future__ import annotations

import openai
import pytest

from tests.support.asking import ask, body, sdk_text, text
from tests.support.stand import Stand

# What one upstream's fault before any content becomes, whether a stream was asked for or not.
BEFORE_CONTENT = {
    "fault=reset": (502, "upstream_unreachable"),
    "fault=accept_silent": (504, "upstream_timeout"),
    "fault=half_open": (504, "upstream_timeout"),
    "fault=headers_silent": (504, "upstream_timeout"),
    "fault=gzip": (502, "upstream_error"),
    "fault=error_body_200": (502, "upstream_error"),
    "fault=status,status=500": (502, "upstream_error"),
    "fault=status,status=401": (502, "upstream_error"),  # our credential is wrong, not the caller's
    "fault=status,status=403": (502, "upstream_error"),
    "fault=status,status=404": (502, "upstream_error"),
    "fault=status,status=429": (503, "upstream_overloaded"),
    "fault=status,status=503": (503, "upstream_overloaded"),
    "fault=reset_after,after=0": (502, "upstream_error"),
    "fault=stall,after=0": (504, "upstream_timeout"),
    "fault=eof_clean,after=0": (502, "upstream_error"),
    "fault=eof_close,after=0": (502, "upstream_error"),
    "fault=eof_delimited,after=0": (502, "upstream_error"),
    "fault=malformed,after=0": (502, "upstream_error"),
    "fault=error_event,after=0": (502, "upstream_error"),
}
# The same faults after five tokens of a stream; a unary answer breaks in its middle.
MIDWAY = {
    "fault=reset_after": "upstream_interrupted",
    "fault=stall": "upstream_timeout",
    "fault=eof_clean": "upstream_interrupted",
    "fault=eof_close": "upstream_interrupted",
    "fault=eof_delimited": "upstream_interrupted",
    "fault=cut": "upstream_interrupted",
    "fault=malformed": "upstream_interrupted",
    "fault=error_event": "upstream_interrupted",
}
HARMLESS = [
    "", "fault=done_late", "fault=no_usage", "fault=close_idle", "fault=close_reuse", "fault=continue_100",
    "chunking=coalesce", "chunking=split", "chunking=crlf", "role_apart=true",
]  # fmt: skip


def settings(directive: str) -> dict[str, object]:
    pairs = (pair.split("=") for pair in directive.split(","))
    return {key: int(value) if value.isdigit() else value for key, value in pairs}


def lone(directive: str, *, stream: bool) -> dict[str, object]:
    return body(directive, model="lone", stream=stream)


@pytest.mark.parametrize("directive", HARMLESS)
def test_p06_what_is_no_failure_is_a_whole_success(clean: Stand, directive: str, stream: bool) -> None:
    for _ in range(2):  # the second on a connection that the first has used, if that can be
        answer = ask(clean.client, lone(directive, stream=stream))
        assert (answer.status, answer.error, answer.text) == (200, None, text(12))
        assert answer.finish_reasons == ["stop"]
        assert answer.done is stream


@pytest.mark.parametrize("directive", BEFORE_CONTENT)
def test_p06_a_failure_before_content_is_told_by_its_status(clean: Stand, directive: str, stream: bool) -> None:
    status, code = BEFORE_CONTENT[directive]
    answer = ask(clean.client, lone(directive, stream=stream))
    assert answer.error is not None
    assert (answer.status, answer.error["code"], answer.error["type"]) == (status, code, "server_error")
    assert answer.events == []
    with pytest.raises(openai.InternalServerError) as caught:
        sdk_text(clean.gateway.url, lone(directive, stream=stream))
    assert (caught.value.status_code, caught.value.code) == (status, code)


@pytest.mark.parametrize("directive", MIDWAY)
def test_p06_a_failure_after_content_is_an_error_event_and_never_a_made_up_stop(clean: Stand, directive: str) -> None:
    answer = ask(clean.client, lone(f"{directive},after=5", stream=True))
    assert answer.error is not None
    assert (answer.status, answer.error["code"]) == (200, MIDWAY[directive])
    assert set(answer.error) == {"message", "type", "param", "code"}
    assert answer.raw.count(b"\n\n\n\ndata: {") == 1  # a blank line closes whatever was cut before it
    assert answer.raw.endswith(b"\n\n")
    assert (answer.text, answer.finish_reasons, answer.done) == (text(5), [], False)
    with pytest.raises(openai.APIError) as caught:
        sdk_text(clean.gateway.url, lone(f"{directive},after=5", stream=True))
    assert caught.value.code == MIDWAY[directive]


@pytest.mark.parametrize("directive", [*MIDWAY, "fault=wrong_length"])
def test_p06_a_unary_answer_that_breaks_in_its_middle_is_an_error(clean: Stand, directive: str) -> None:
    answer = ask(clean.client, lone(directive, stream=False))
    assert answer.error is not None
    assert (answer.status, answer.error["code"]) in [(502, "upstream_error"), (504, "upstream_timeout")]


@pytest.mark.parametrize("framing", ["", ",chunking=coalesce", ",chunking=split"])
def test_an_answer_that_has_finished_is_whole_though_its_server_sends_no_terminal_marker(
    clean: Stand, framing: str
) -> None:
    """Some real servers end behind the finish_reason; the client gets the marker from us."""
    answer = ask(clean.client, lone(f"fault=no_done_but_finish{framing}", stream=True))
    assert (answer.error, answer.text, answer.done) == (None, text(12), True)


def test_p06_of_several_answers_one_that_has_finished_makes_no_whole(clean: Stand) -> None:
    answer = ask(clean.client, lone("fault=no_done_but_finish", stream=True) | {"n": 2})
    assert answer.error is not None
    assert (answer.error["code"], answer.done) == ("upstream_interrupted", False)


def test_a_stream_that_said_done_is_whole_however_its_framing_ends(clean: Stand) -> None:
    answer = ask(clean.client, lone("fault=wrong_length", stream=True))
    assert (answer.error, answer.text, answer.done) == (None, text(12), True)


@pytest.mark.parametrize("directive", BEFORE_CONTENT)
def test_a_failure_before_content_fails_over_and_the_answer_is_whole(
    clean: Stand, directive: str, stream: bool
) -> None:
    clean.fleet.replicas[0].set(**settings(directive))
    answers = [ask(clean.client, body(stream=stream)) for _ in range(2)]  # round robin: one of them begins at the bad
    for answer in answers:
        assert (answer.status, answer.error, answer.text) == (200, None, text(12))
    assert clean.fleet.replicas[1].stats()["finished"] == 2


@pytest.mark.parametrize("status", [400, 413, 422])
def test_the_callers_mistake_passes_with_param_and_code_and_is_tried_once(
    clean: Stand, status: int, stream: bool
) -> None:
    answer = ask(clean.client, body(f"fault=status,status={status}", stream=stream))
    assert answer.error is not None
    assert answer.status == (413 if status == 413 else 400)
    codes = {400: "context_length_exceeded", 413: "request_too_large", 422: "invalid_value"}
    assert (answer.error["type"], answer.error["code"]) == ("invalid_request_error", codes[status])
    assert sum(replica.stats()["started"] for replica in clean.fleet.replicas) == 1


def test_a_refusal_before_the_body_was_read_reaches_the_caller(clean: Stand, stream: bool) -> None:
    clean.fleet.replicas[0].set(fault="early_response", status=413)
    answer = ask(clean.client, lone("", stream=stream) | {"user": "u" * 300_000})
    assert answer.error is not None
    assert (answer.status, answer.error["code"]) == (413, "request_too_large")


@pytest.mark.parametrize(
    ("said", "told"), [("", 1), ("0", 1), ("7", 7), ("2.2", 3), ("100000", 120), ("Fri, 31 Dec 2027 23:59:59 GMT", 1)]
)
def test_p17_overload_always_carries_a_usable_retry_after(clean: Stand, said: str, told: int) -> None:
    clean.fleet.replicas[0].set(fault="status", status=429, retry_after=said)
    answer = ask(clean.client, lone("", stream=False))
    assert (answer.status, answer.headers["retry-after"]) == (503, str(told))


def test_a_replica_that_refuses_connections_is_unreachable_or_left_out(clean: Stand, stream: bool) -> None:
    clean.fleet.replicas[0].listen("refused", drop=True)
    refused = ask(clean.client, lone("", stream=stream))
    assert refused.error is not None
    assert (refused.status, refused.error["code"]) == (502, "upstream_unreachable")
    for _ in range(2):
        assert ask(clean.client, body(stream=stream)).text == text(12)
