"""How streams of servers that spell or report things in their own way come out: pure bytes in, bytes out."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from engines.api import Usage
from engines.events import EventFilter

USAGE = {"prompt_tokens": 3, "completion_tokens": 2, "total_tokens": 5}


def event(**members: Any) -> bytes:
    shown = {"id": "1", "object": "chat.completion.chunk", "created": 1, "model": "up", **members}
    return b"data: " + msgspec.json.encode(shown) + b"\n\n"


def content(text: str, finish: str | None = None, **members: Any) -> bytes:
    return event(choices=[{"index": 0, "delta": {"content": text}, "finish_reason": finish}], **members)


def through(*parts: bytes, show_usage: bool, model: str = "public") -> tuple[list[Any], EventFilter]:
    events = EventFilter(model, show_usage=show_usage)
    out = b"".join(events.feed(part) for part in parts).split(b"\n\n")
    assert out[-2:] == [b"data: [DONE]", b""]
    return [msgspec.json.decode(one.removeprefix(b"data: ")) for one in out[:-2]], events


DONE = b"data: [DONE]\n\n"


@pytest.mark.parametrize("together", [False, True], ids=["event by event", "all at once"])
@pytest.mark.parametrize("show_usage", [False, True], ids=["hidden", "shown"])
def test_p23_usage_that_comes_with_the_last_content_becomes_an_event_of_its_own(
    show_usage: bool, together: bool
) -> None:
    """P22, P23: llama.cpp's completions do so whether asked or not; a client that did not ask must not see it."""
    parts = [content("a"), content("b", "stop", usage=USAGE), DONE]
    chunks, events = through(*([b"".join(parts)] if together else parts), show_usage=show_usage)
    assert events.usage == Usage(3, 2)
    assert events.chunks == 2
    assert {chunk["model"] for chunk in chunks} == {"public"}
    if show_usage:
        last = chunks.pop()
        assert (last["choices"], last["usage"], last["id"]) == ([], USAGE, "1")
    else:
        assert not any("usage" in chunk for chunk in chunks)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["a", "b"]


def test_p23_usage_in_every_chunk_is_counted_once_and_shown_once() -> None:
    """P23: a server that reports usage all along ends with an event of its own, which is not doubled."""
    parts = [content("a", usage=USAGE), content("b", "stop", usage=USAGE), event(choices=[], usage=USAGE), DONE]
    shown, events = through(*parts, show_usage=True)
    assert [chunk["choices"] == [] for chunk in shown] == [False, False, True]
    hidden, _ = through(*parts, show_usage=False)
    assert len(hidden) == 2
    assert not any("usage" in chunk for chunk in hidden)
    assert events.usage == Usage(3, 2)


def test_a_null_usage_in_each_chunk_passes_as_it_is() -> None:
    parts = [content("a", usage=None), content("b", usage=None), content("", "stop", usage=None)]
    events = EventFilter("up", show_usage=False)
    assert [events.feed(part) for part in parts] == parts
    assert events.usage is None
    assert events.chunks == 3


@pytest.mark.parametrize("colon", [b":", b": ", b" : ", b" :"])
def test_the_public_name_stands_in_every_chunk_however_the_server_spells_its_own(colon: bytes) -> None:
    own, public = rb'"yet\u00e9 \"another\""', 'public/"name"\\'
    parts = [content(text).replace(b'"model":"up"', b'"model"' + colon + own) for text in "abc"]
    chunks, _ = through(*parts, DONE, show_usage=False, model=public)
    assert [chunk["model"] for chunk in chunks] == [public] * 3


def test_what_the_model_says_about_names_is_left_alone() -> None:
    said = '{"model":"up"}, "usage", "error", [DONE]'
    chunks, events = through(content("a"), content(said), content(said, "stop"), DONE, show_usage=False)
    assert [chunk["choices"][0]["delta"]["content"] for chunk in chunks] == ["a", said, said]
    assert events.chunks == 3
