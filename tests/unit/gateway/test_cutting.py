"""How a stream is ended in mid-answer: whatever has passed of it, the client sees a normal end of each choice."""

from __future__ import annotations

import json
from typing import Any

import msgspec
import pytest

from engines.api import Usage
from gateway.capping import lower
from gateway.cutting import Ending

USED = Usage(7, 30)


def event(*choices: tuple[int, str | None], head: dict[str, Any] | None = None, **members: Any) -> bytes:
    """One with choices by index, and how each ended."""
    said = [{"index": index, "delta": {"content": "x"}, "finish_reason": reason} for index, reason in choices]
    known = {"id": "c-1", "object": "chat.completion.chunk", "created": 5, "model": "m"} if head is None else head
    return b"data: %b\n\n" % json.dumps({**known, "choices": said, **members}, separators=(",", ":")).encode()


def ended(ending: Ending, usage: Usage | None = None) -> list[dict[str, Any]]:
    """Its events but `[DONE]`."""
    *events, last, rest = ending.events(usage).decode().split("\n\n")
    assert (last, rest) == ("data: [DONE]", "")
    return [json.loads(one.removeprefix("data: ")) for one in events]


def open_choices(ending: Ending) -> list[int]:
    return [choice["index"] for one in ended(ending) for choice in one["choices"]]


def hearing(*data: bytes, answers: int = 1, chat: bool = True) -> Ending:
    ending = Ending(answers, chat=chat)
    for one in data:
        ending.hear(one)
    return ending


def test_each_open_choice_is_finished_by_an_event_like_those_before() -> None:
    first, second = ended(hearing(event((0, None)), answers=2))
    choice: dict[str, Any] = {"delta": {}, "logprobs": None, "finish_reason": "length"}
    known = {"id": "c-1", "object": "chat.completion.chunk", "created": 5, "model": "m"}
    assert first == {**known, "choices": [{"index": 0, **choice}]}
    assert second == {**known, "choices": [{"index": 1, **choice}]}


def test_a_completion_s_choice_has_a_text() -> None:
    (only,) = ended(hearing(event((0, None)), chat=False))
    assert only["choices"] == [{"index": 0, "text": "", "logprobs": None, "finish_reason": "length"}]


@pytest.mark.parametrize(
    "data",
    [
        [event((0, None), (1, None)), event((1, "stop"))],
        [event((0, None)) + event((1, "stop")) + event((2, "tool_calls"))],
        [event((0, None)), event((0, None)) + event((1, "stop"), (2, None)) + event((2, "length"))],
    ],
    ids=["apart", "together", "several"],
)
def test_choices_that_have_ended_stay_as_they_are(data: list[bytes]) -> None:
    ending = hearing(*data, answers=3)
    assert 1 not in open_choices(ending)
    assert 0 in open_choices(ending)


def test_usage_is_told_once() -> None:
    assert [one.get("usage") for one in ended(hearing(event((0, None))), USED)] == [
        None,
        {"prompt_tokens": 7, "completion_tokens": 30, "total_tokens": 37},
    ]
    said = hearing(event((0, None)), event((0, "stop")), event(usage={"prompt_tokens": 7, "completion_tokens": 30}))
    assert ended(said, USED) == []


def test_an_event_without_choices_that_tells_no_usage_is_none_of_it() -> None:
    said = hearing(event((0, None)), b'data: {"choices": [], "usage": null, "prompt_filter_results": []}\n\n')
    assert len(ended(said, USED)) == 2


@pytest.mark.parametrize(
    "nonsense", [b"data: {\n\n", b'data: {"finish_reason":7}\n\n', b"data: \xff\n\n", b": hello\n\n"]
)
def test_nonsense_in_between_changes_nothing(nonsense: bytes) -> None:
    ending = hearing(event((0, None)), nonsense + b'data: {"finish_reason":"stop"\n\n' + event((1, "stop")), answers=2)
    assert open_choices(ending) == [0]


def test_an_event_may_have_other_lines_beside_its_data() -> None:
    first = b"event: message\n" + event((0, None)).rstrip(b"\n") + b"\nid: 3\n\n"
    (only,) = ended(hearing(first))
    assert only["id"] == "c-1"


@pytest.mark.parametrize(
    ("given", "most", "cap", "expected"),
    [
        ({"max_tokens": 10}, 9, 9, {"max_tokens": 9}),
        ({"max_tokens": 10}, 10, 0, {"max_tokens": 10}),
        ({"max_tokens": 10, "min_tokens": 5}, 3, 3, {"max_tokens": 3, "min_tokens": 3}),
        ({"max_tokens": 10, "min_tokens": 5}, 7, 7, {"max_tokens": 7, "min_tokens": 5}),
        ({"max_tokens": 10, "min_tokens": None}, 7, 7, {"max_tokens": 7, "min_tokens": None}),
    ],
)
def test_a_cap_is_lowered_and_never_raised(
    given: dict[str, Any], most: int, cap: int, expected: dict[str, Any]
) -> None:
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in given.items()}
    assert lower(fields, "max_tokens", most) == cap
    assert {name: msgspec.json.decode(raw) for name, raw in fields.items()} == expected
