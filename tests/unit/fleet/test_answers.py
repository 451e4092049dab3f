"""Answers have exact shapes, and their usage is what they hold."""

from __future__ import annotations

import base64
import json
import struct
from typing import Any

import pytest

from loadtests.fleet import asks
from loadtests.fleet.answers import Events, embeddings, plan, unary, words
from loadtests.fleet.asks import Kind
from loadtests.fleet.settings import Settings


def answer(kind: Kind, **fields: object) -> dict[str, Any]:
    ask = asks.read(json.dumps({"model": "m", **fields}).encode())
    planned = plan(ask, kind, Settings(tokens=6), 1)
    found: dict[str, Any] = json.loads(embeddings(ask, planned) if kind == "embedding" else unary(planned))
    return found


def streamed(kind: Kind, **fields: object) -> list[dict[str, Any]]:
    ask = asks.read(json.dumps({"model": "m", "stream": True, **fields}).encode())
    events = Events(plan(ask, kind, Settings(tokens=6), 1))
    text = b"".join((*events.tokens(), events.finish(), events.usage()))
    return [json.loads(event.removeprefix(b"data: ")) for event in text.split(b"\n\n")[:-1]]


def test_a_chat_answer() -> None:
    messages = [
        {"role": "system", "content": "be  brief"},
        {"role": "user", "content": [{"type": "text", "text": "a"}]},
    ]
    assert answer("chat", messages=messages) == {
        "id": "chatcmpl-00000000000000000000000000000001",
        "object": "chat.completion",
        "created": 1_750_000_000,
        "model": "m",
        "choices": [
            {
                "index": 0,
                "message": {"role": "assistant", "content": "The quick brown fox jumps over"},
                "logprobs": None,
                "finish_reason": "stop",
            }
        ],
        "usage": {"prompt_tokens": 3, "completion_tokens": 6, "total_tokens": 9},
    }


@pytest.mark.parametrize(
    ("fields", "text", "finish"),
    [
        ({"max_tokens": 2}, "The quick", "length"),
        ({"max_tokens": 6}, "The quick brown fox jumps over", "stop"),
        ({"max_tokens": 1, "max_completion_tokens": 3}, "The quick brown", "length"),
        ({"stop": " fox"}, "The quick brown", "stop"),
        ({"stop": ["zebra", "own"], "max_tokens": 5}, "The quick br", "stop"),
        ({"stop": "The"}, "", "stop"),
    ],
)
def test_caps_and_stops(fields: dict[str, object], text: str, finish: str) -> None:
    found = answer("completion", prompt="a", **fields)
    assert (found["choices"][0]["text"], found["choices"][0]["finish_reason"]) == (text, finish)
    assert found["usage"]["completion_tokens"] == len(text.split())
    events = streamed("completion", prompt="a", **fields)
    assert "".join(event["choices"][0]["text"] for event in events if event["choices"]) == text


@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_a_stream_has_one_finish_reason_per_choice_and_usage_last(kind: Kind) -> None:
    *events, usage = streamed(kind, n=2, messages=[], prompt="a b")
    for index in (0, 1):
        mine = [event["choices"][0] for event in events if event["choices"][0]["index"] == index]
        assert [choice["finish_reason"] for choice in mine] == [None] * 6 + ["stop"]
        if kind == "chat":
            assert ["role" in choice["delta"] for choice in mine] == [True] + [False] * 6
    assert usage["choices"] == []
    assert usage["usage"]["completion_tokens"] == 12
    assert len({(event["id"], event["created"], event["model"], event["object"]) for event in [*events, usage]}) == 1


def test_what_tools_are_for_is_part_of_the_prompt() -> None:
    tools = [
        {"type": "function", "function": {"name": "look", "description": "looks things up"}},
        {"type": "function", "function": {"name": "wait"}},
    ]
    assert answer("chat", messages=[{"role": "user", "content": "a b"}], tools=tools)["usage"]["prompt_tokens"] == 5


def test_every_prompt_has_its_choices() -> None:
    found = answer("completion", prompt=["a b", "c", [1, 2, 3]], n=2)
    assert [choice["index"] for choice in found["choices"]] == [0, 1, 2, 3, 4, 5]
    assert found["usage"] == {"prompt_tokens": 6, "completion_tokens": 36, "total_tokens": 42}


def test_a_tool_is_called_when_it_must_be() -> None:
    tools = [{"type": "function", "function": {"name": "weather", "parameters": {}}}]
    call = answer("chat", messages=[], tools=tools, tool_choice="required")["choices"][0]
    assert call["finish_reason"] == "tool_calls"
    assert call["message"]["content"] is None
    assert call["message"]["tool_calls"][0]["function"] == {"name": "weather", "arguments": '{"city":"Paris"}'}
    deltas = [
        event["choices"][0]["delta"]["tool_calls"][0]
        for event in streamed("chat", messages=[], tools=tools, tool_choice="required")[:-2]
    ]
    assert {delta["index"] for delta in deltas} == {0}
    assert "".join(delta["function"]["arguments"] for delta in deltas) == '{"city":"Paris"}'
    assert answer("chat", messages=[], tools=tools)["choices"][0]["finish_reason"] == "stop"


def test_embeddings_depend_on_the_text_alone_and_both_encodings_agree() -> None:
    floats = answer("embedding", input=["a b", "c"], dimensions=3)
    coded = answer("embedding", input=["a b", "c"], dimensions=3, encoding_format="base64")
    assert floats["usage"] == {"prompt_tokens": 3, "total_tokens": 3}
    for plain, packed in zip(floats["data"], coded["data"], strict=True):
        assert list(struct.unpack("<3f", base64.b64decode(packed["embedding"]))) == plain["embedding"]
        assert sum(number**2 for number in plain["embedding"]) == pytest.approx(1)
    assert floats["data"][0] != floats["data"][1]
    assert answer("embedding", input="c", dimensions=3)["data"][0]["embedding"] == floats["data"][1]["embedding"]


def test_replicas_can_be_told_apart_by_their_seed() -> None:
    assert "".join(words(1, 3)) == "quick brown fox"


def test_sizes_are_those_of_real_servers() -> None:
    ask = asks.read(b'{"model":"m","messages":[]}')
    planned = plan(ask, "chat", Settings(), 1)
    assert 400 <= len(unary(planned)) <= 600
    assert all(200 <= len(event) <= 230 for event in Events(planned).tokens())
