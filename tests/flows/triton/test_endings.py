"""P41: why an answer ended is right, whatever its model says of it, and stop strings are matched here."""

from __future__ import annotations

import pytest

from tests.support.sdk_answers import chat, completion
from tests.support.triton_stand import TRANSPORTS, Journal, TritonStand

pytestmark = pytest.mark.parametrize("transport", TRANSPORTS[-1:], indirect=True)  # it is nothing to the text
MODELS = ("llmapi", "ensemble", "bls", "accumulating", "generic")
WHOLE = "The quick brown fox jumps"


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p41_exactly_and_fewer_than_max_tokens(stand: TritonStand, model: str, stream: bool) -> None:
    """P41: of the models only llmapi tells; the others' reason is inferred."""
    for cap, reason in ((5, "length"), (6, "stop")):
        told = completion(stand.sdk(), stream=stream, model=model, prompt="@@tokens=5@@", max_tokens=cap)
        assert (told.texts, told.reasons) == ({0: WHOLE}, {0: reason})
        assert told.usage is not None
        assert told.usage[1] == 5 + (model == "llmapi" and reason == "stop")  # the token that ended it


STOPS = {
    "x jumps": "The quick brown fo",
    " over the": WHOLE,
    "T": "",
    "jumps over the lazy dog and": "The quick brown fox ",
    "lazy doge": None,
}


@pytest.mark.parametrize("model", MODELS)
@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p41_a_stop_string_is_never_said(stand: TritonStand, model: str, stream: bool) -> None:
    """P41: however it was cut into tokens; and what only begins like one is said."""
    for stop, text in STOPS.items():
        told = chat(
            stand.sdk(), stream=stream, model=model, stop=[stop, "never"], max_tokens=50,
            messages=[{"role": "user", "content": "@@tokens=12@@"}],
        )  # fmt: skip
        assert told.texts == {0: "The quick brown fox jumps over the lazy dog and then it" if text is None else text}
        assert told.reasons == {0: "stop"}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
async def test_p41_the_generation_ends_at_the_match(stand: TritonStand, journal: Journal, stream: bool) -> None:
    """P41: in a model that knows nothing of stop strings, too."""
    prompt = "@@tokens=2000,delay_ms=5@@"
    told = completion(stand.sdk(), stream=stream, model="generic", prompt=prompt, max_tokens=2000, stop=["jumps"])
    assert told.texts == {0: "The quick brown fox "}
    await journal.until(lambda _: bool(journal.ends()))
    (end,) = journal.ends()
    assert end.outcome == "cancelled"
    assert end.tokens < 400


def test_p41_a_tool_call_is_a_reason_of_its_own(stand: TritonStand) -> None:
    """P41: but not if the call was cut off by the cap."""
    tool = {"type": "function", "function": {"name": "f"}}
    said = b'<tool_call>{"name": "f", "arguments": {}}</tool_call>'.hex()
    for cap, reason in ((99, "tool_calls"), (13, "length")):
        told = chat(
            stand.sdk(), stream=True, model="ensemble", tools=[tool], max_tokens=cap,
            messages=[{"role": "user", "content": f"@@says={said}@@"}],
        )  # fmt: skip
        assert told.reasons == {0: reason}
