"""A stream's events become the document that the same call would have had without streaming."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import Any, Self

import msgspec
import pytest

from engines.api import Call, Failed, Interrupted, Usage
from engines.embedded.reply import SlotReply, cleaned
from engines.embedded.slots import Slots
from engines.embedded.unary import assemble, gather

ENVELOPE = {"id": "chatcmpl-1", "created": 7, "model": "m", "system_fingerprint": "f"}
USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def stream(*chunks: dict[str, Any], object_: str = "chat.completion.chunk") -> bytes:
    events = [b"data: %b\n\n" % msgspec.json.encode(ENVELOPE | {"object": object_} | chunk) for chunk in chunks]
    return b"".join([*events, b"data: [DONE]\n\n"])


def delta(finish: str | None = None, logprobs: Any = None, **pieces: str | None) -> dict[str, Any]:
    return {"choices": [{"index": 0, "delta": pieces, "finish_reason": finish, "logprobs": logprobs}]}


def test_a_chat_is_put_together() -> None:
    found = msgspec.json.decode(
        assemble(
            stream(
                delta(role="assistant", content=None),
                delta(content="Par\n\n", logprobs={"content": [{"token": "Par"}]}),
                delta(content="is", logprobs={"content": [{"token": "is"}]}),
                delta("stop"),
                {"choices": [], "usage": USAGE},
            )
        )
    )
    assert found == ENVELOPE | {
        "object": "chat.completion",
        "usage": USAGE,
        "choices": [{
            "index": 0, "finish_reason": "stop", "message": {"role": "assistant", "content": "Par\n\nis"},
            "logprobs": {"content": [{"token": "Par"}, {"token": "is"}], "refusal": None},
        }],
    }  # fmt: skip


def test_an_empty_answer_and_reasoning_apart_keep_their_places() -> None:
    first = delta(role="assistant", content=None)
    empty = msgspec.json.decode(assemble(stream(first, delta("stop"))))
    assert empty["choices"][0]["message"] == {"role": "assistant", "content": ""}
    thought = msgspec.json.decode(assemble(stream(first, delta(reasoning_content="hm"), delta("length", content="a"))))
    assert thought["choices"][0]["message"] == {"role": "assistant", "content": "a", "reasoning_content": "hm"}


def test_a_stream_without_the_role_has_it_all_the_same() -> None:
    """P22: llama.cpp leaves the role out if the first token is half a character."""
    found = msgspec.json.decode(assemble(stream(delta(content="🙂"), delta("stop"))))
    assert found["choices"][0]["message"] == {"role": "assistant", "content": "🙂"}
    whole = stream(delta(content='the "role": '), delta(content="x"))
    events = [event.partition(b": ")[2] for event in cleaned(whole).split(b"\n\n")[:2]]
    first, second = (msgspec.json.decode(event)["choices"][0]["delta"] for event in events)
    assert first == {"role": "assistant", "content": 'the "role": '}
    assert second == {"content": "x"}


@pytest.mark.parametrize("progress", [(), ({"choices": [], "prompt_progress": {"total": 9}},)], ids=["", "progress"])
def test_a_stream_that_says_nothing_has_its_role_too(progress: tuple[dict[str, Any], ...]) -> None:
    """As where half a character is all that there is room for."""
    assert cleaned(stream(*progress, delta("length"))) == stream(delta("length", role="assistant"))


def test_a_start_that_has_its_role_or_is_no_chat_stays_as_it_is() -> None:
    for start in (stream(delta(role="assistant", content=None), delta(content="x")), b'{"object":"text_completion"}'):
        assert cleaned(start) == start


def test_how_far_the_prompt_is_stays_here() -> None:
    begun = delta(role="assistant", content=None)
    progress = begun | {"prompt_progress": {"total": 9, "cache": 0, "processed": 4, "time_ms": 1}}
    said = delta(content="x")
    assert cleaned(stream(progress, progress, begun, said)) == stream(begun, said)
    assert cleaned(stream(progress, said)) == stream(delta(role="assistant", content="x"))
    assert assemble(stream(progress, begun, said, delta("stop"))) == assemble(stream(begun, said, delta("stop")))


def test_a_completion_whose_last_piece_carries_the_usage() -> None:
    pieces = [{"index": 0, "text": text, "finish_reason": None, "logprobs": None} for text in ("a", "b")]
    last = {"choices": [{"index": 0, "text": "", "finish_reason": "length", "logprobs": None}], "usage": USAGE}
    found = msgspec.json.decode(
        assemble(stream(*({"choices": [piece]} for piece in pieces), last, object_="text_completion"))
    )
    assert (found["object"], found["usage"]) == ("text_completion", USAGE)
    assert found["choices"] == [{"index": 0, "text": "ab", "finish_reason": "length", "logprobs": None}]


class Streamed:
    """The child's answer; it breaks after its first content if there is an `error`."""

    usage = Usage(0, 1, exact=False)

    def __init__(self, error: BaseException | None = None) -> None:
        self.headers: Mapping[bytes, bytes] = {}
        self.error = error

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield stream(delta(role="assistant", content="a"))
        if self.error is not None:
            raise self.error
        yield stream(delta("stop"))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is held."""


def unary() -> Call:
    return Call("1", "chat", {}, "m", stream=False, show_usage=False, deadline=0.0)


async def test_an_answer_that_is_whole_holds_no_slot_any_more() -> None:
    slots = Slots(1)
    reply = await gather(unary(), SlotReply(Streamed(), slots.take(), 7))
    assert slots.held == 0
    (document,) = [data async for data in reply]
    assert msgspec.json.decode(document)["choices"][0]["message"] == {"role": "assistant", "content": "a"}


@pytest.mark.parametrize("error", [Interrupted("It broke.", died=True), asyncio.CancelledError()], ids=["died", "left"])
async def test_an_answer_that_breaks_off_tells_what_it_has_used_and_holds_nothing(error: BaseException) -> None:
    call = unary()
    slots = Slots(1)
    slot = slots.take()
    with pytest.raises((Failed, asyncio.CancelledError)) as caught:
        await gather(call, SlotReply(Streamed(error), slot, 7))
    assert not isinstance(caught.value, Failed) or caught.value.died
    assert call.spent == Usage(7, 1, exact=False)
    assert slots.held == 0
