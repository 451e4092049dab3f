"""A stream on its way through: however it is cut into packets and spelled, the client gets the same events."""

from __future__ import annotations

import itertools
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.events import MAX_EVENT, EventFilter

TEXT = st.text(st.characters(codec="utf-8"), max_size=20)
USAGE = {"prompt_tokens": 7, "completion_tokens": 3, "total_tokens": 10}
DONE = b"data: [DONE]\n\n"


def chunk(delta: dict[str, Any] | None, finish: str | None = None, **more: Any) -> dict[str, Any]:
    choices = [] if delta is None else [{"index": 0, "delta": delta, "finish_reason": finish}]
    return {"id": "c-1", "object": "chat.completion.chunk", "model": "upstream", "choices": choices, **more}


@st.composite
def streams(draw: st.DrawFn) -> list[dict[str, Any]]:
    """A role, some content, the end, and usage in an event of its own or not at all."""
    texts = draw(st.lists(TEXT.filter(bool), min_size=1, max_size=6))
    odd = draw(st.sampled_from(["", "usage", "error", "data: [DONE]", '"usage":{', "\r\n\r\n", '"model":"upstream"']))
    nulls = {"usage": None} if draw(st.booleans()) else {}
    found = [chunk({"role": "assistant", "content": ""}, **nulls)]
    found += [chunk({"content": text}, **nulls) for text in [*texts, odd] if text]
    found.append(chunk({}, "stop", **nulls))
    if draw(st.booleans()):
        found.append(chunk(None, usage=USAGE))
    return found


@st.composite
def spelled(draw: st.DrawFn, events: list[dict[str, Any]]) -> bytes:
    """As some server would write it: line ends, comments, spaces, escapes."""
    end = draw(st.sampled_from([b"\n", b"\r\n"]))
    ascii_only, compact, space = draw(st.booleans()), draw(st.booleans()), draw(st.sampled_from([b"", b" "]))
    separators = (",", ":") if compact else (", ", ": ")
    out = []
    for event in events:
        if draw(st.integers(0, 3)) == 0:
            out.append(b": ping" + end + end)
        data = json.dumps(event, ensure_ascii=ascii_only, separators=separators).encode()
        out.append(b"data:" + space + data + end + end)
    return b"".join(out) + b"data: [DONE]" + end + end


def pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    places = [0, *sorted({cut % (len(data) + 1) for cut in cuts}), len(data)]
    return [data[start:end] for start, end in itertools.pairwise(places)]


def through(parts: list[bytes], *, show_usage: bool, model: str = "public") -> tuple[bytes, EventFilter]:
    events = EventFilter(model, show_usage=show_usage)
    return b"".join(map(events.feed, parts)), events


def parsed(out: bytes) -> list[dict[str, Any]]:
    assert out.endswith(DONE)
    assert out.count(b"\r") == 0
    return [json.loads(event.removeprefix(b"data:")) for event in out.split(b"\n\n")[:-2]]


@given(st.data(), streams(), st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_a_finished_answer_is_whole_without_the_marker_and_an_unfinished_one_is_not(
    data: st.DataObject, sent: list[dict[str, Any]], cuts: list[int], show_usage: bool
) -> None:
    marked = data.draw(spelled(sent))
    out, events = through(pieces(marked[: marked.rindex(b"data: [DONE]")], cuts), show_usage=show_usage)
    wanted = [{**event, "model": "public"} for event in sent if event["choices"] or show_usage]
    assert parsed(out + events.close()) == wanted
    assert events.done
    finish = next(
        index for index, event in enumerate(sent) if event["choices"] and event["choices"][0]["finish_reason"]
    )
    marked = data.draw(spelled(sent[:finish]))
    _, events = through(pieces(marked[: marked.rindex(b"data: [DONE]")], cuts), show_usage=show_usage)
    assert (events.close(), events.done) == (b"", False)


@pytest.mark.parametrize("end", [b'data: {"choices":[{"finish_reason":"stop"}]}\n', b'data: {"choices":[{"fin}\n\n'])
def test_an_event_that_was_cut_finishes_nothing(end: bytes) -> None:
    begin = b'data: {"choices":[{"delta":{"content":"x"}}]}\n\n'
    _, events = through([begin, end], show_usage=False)
    assert (events.close(), events.done) == (b"", False)


@given(st.data(), streams(), st.lists(st.integers(0, 10_000), max_size=12), st.booleans())
def test_p22_p23_any_packets_and_any_spelling_give_the_same_events(
    data: st.DataObject, sent: list[dict[str, Any]], cuts: list[int], show_usage: bool
) -> None:
    out, events = through(pieces(data.draw(spelled(sent)), cuts), show_usage=show_usage)
    wanted = [{**event, "model": "public"} for event in sent if event["choices"] or show_usage]
    assert parsed(out) == wanted
    assert (events.done, events.failure) == (True, None)
    if sent[-1]["choices"]:
        assert events.usage is None
    else:
        assert events.usage is not None
        assert (events.usage.prompt, events.usage.completion, events.usage.exact) == (7, 3, True)


@given(streams(), st.lists(st.integers(0, 10_000), max_size=12))
def test_p15_what_needs_no_change_passes_byte_by_byte(sent: list[dict[str, Any]], cuts: list[int]) -> None:
    data = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in sent) + DONE
    out, _ = through(pieces(data, cuts), show_usage=True, model="upstream")
    assert out == data


@given(st.data(), streams(), st.integers(0, 10_000))
def test_p06_a_stream_cut_anywhere_is_not_done_and_no_event_is_cut(
    data: st.DataObject, sent: list[dict[str, Any]], cut: int
) -> None:
    whole = data.draw(spelled(sent))
    out, events = through([whole[: cut % (len(whole) - 3)]], show_usage=True)
    assert not events.done
    assert out == b"" or out.endswith(b"}\n\n")
    assert [json.loads(event.removeprefix(b"data:")) for event in out.split(b"\n\n")[:-1]] == [
        {**event, "model": "public"} for event in sent[: out.count(b"\n\n")]
    ]


CONTENT = b"data: " + json.dumps(chunk({"content": "x"})).encode() + b"\n\n"


@pytest.mark.parametrize("started", [False, True])
@pytest.mark.parametrize(
    "event",
    [
        b'data: {"error":{"message":"x"}}\n\n',
        b'data: {"error": "x"}\n\n',
        b'event: error\ndata: {"error":{"message":"x"}}\n\n',
        b'data: {"object":"error","message":"x","code":400}\n\n',
        b'data: {"object": "error", "message": "x"}\n\n',
        b'{"error":{"message":"x"}}\n\n',
        b"data: {\n\n",
        b"data: nonsense\n\n",
        b'data: [{"x":1}]\n\n',
        b'data: {"choices":5,"usage":null,"error":null}\n\n',
        b"data: \xff\xfe\n\n",
        b'data: {"choices":[{"finish_reason":"\xff"}],"usage":{}}\n\n',
        b'data: {"choices":[{"text":"x"}],"usage":{},"\xff":1}\n\n',
        b'data: {"choices":[{"text":"x"}],"usage":{"prompt_tokens":-1}}\n\n',
        b'data: {"choices":[{"text":"x"}],"usage":{"completion_tokens":%b}}\n\n' % (b"9" * 400),
    ],
)
def test_p06_an_error_or_nonsense_ends_the_stream(event: bytes, started: bool) -> None:
    _, events = through([CONTENT * started + event + DONE], show_usage=False)
    assert events.failure is not None
    assert events.done is False
    assert events.feed(CONTENT) == b""


def test_an_event_without_an_end_is_bounded() -> None:
    parts = [64 * 1024 * b"x"] * (MAX_EVENT // (64 * 1024) + 1)
    assert through(parts[:-1], show_usage=False)[1].failure is None
    assert through(parts, show_usage=False)[1].failure is not None


@pytest.mark.parametrize(
    ("delta", "content"),
    [
        ({"role": "assistant"}, False),
        ({"role": "assistant", "content": ""}, False),
        ({"role": "assistant", "content": None, "tool_calls": []}, False),
        ({"content": "x"}, True),
        ({"reasoning_content": "x"}, True),
        ({"refusal": "x"}, True),
        ({"tool_calls": [{"index": 0}]}, True),
    ],
)
def test_p46_content_begins_with_what_a_reader_sees(delta: dict[str, Any], content: bool) -> None:
    data = b"data: " + json.dumps(chunk(delta)).encode() + b"\n\n"
    assert through([data], show_usage=False)[1].content_started is content


def test_what_follows_the_end_is_dropped() -> None:
    out, _ = through([CONTENT + DONE + CONTENT], show_usage=False)
    assert out.endswith(DONE)
    assert out.count(b"\n\n") == 2


def test_p23_before_the_server_tells_the_chunks_are_counted() -> None:
    for parts in ([CONTENT] * 5, [CONTENT * 5], [CONTENT * 2 + CONTENT[:9], CONTENT[9:] + CONTENT * 2]):
        assert through(parts, show_usage=False)[1].chunks == 5
