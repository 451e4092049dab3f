"""Why an answer ended, whatever pieces it comes in."""

from __future__ import annotations

import pytest

from gateway.finish import FinishEar


def event(reason: str, spaced: str = "") -> bytes:
    return b'data: {"choices":[{"delta":{"content":"x"},"finish_reason":%b%b}]}\n\n' % (
        spaced.encode(),
        reason.encode(),
    )


USAGE = b'data: {"choices":[],"usage":{"completion_tokens":2}}\n\n'
DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([event("null"), event('"stop"'), DONE], "stop"),
        ([event("null"), event('"length"') + USAGE + DONE], "length"),
        ([event("null", " "), event('"tool_calls"', " "), USAGE, DONE], "tool_calls"),
        ([event('"stop"'), event("null"), DONE], "stop"),
        ([event("null") + event('"stop"') + event("null"), DONE], "stop"),
        ([b'{"choices":[{"finish_reason":"stop","message":{"content":"\\"finish_reason\\":\\"x\\""}}]}'], "stop"),
        ([b'{"choices":[{"finish_reason":"stop"},{"finish_reason":"length"}]}'], "length"),
        ([b'{"data":[{"embedding":[1]}]}'], ""),
        ([event("null")], ""),
        ([b'data: {"choices":[{"finish_reason":3}]}\n\n', DONE], ""),
        ([b'data: {"finish_reason"\n\n'], ""),
        ([], ""),
    ],
)
def test_the_last_reason_counts(pieces: list[bytes], reason: str) -> None:
    ear = FinishEar()
    for piece in pieces:
        ear.hear(piece)
    assert ear.finish_reason == reason
    assert repr(ear) == f"<FinishEar {reason or 'not ended'}>"
