"""One choice: what is cut, what is told apart, and that it does not matter how the text was cut into pieces."""

from __future__ import annotations

import itertools

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.api import Call, Usage
from engines.text.answer import Chunks, Document, Envelope
from engines.text.choice import Choice
from engines.text.reasoning import Reasoning
from engines.text.stops import Stops
from engines.text.tools import TOOL_PARSERS

TEXT = '<think>Hm, f?</think>I call.<tool_call>{"name": "f", "arguments": {"a": 1}}</tool_call>STOP and more'


def ids() -> str:
    return "call_1"


def made(writer: Document) -> Choice:
    return Choice(writer, stops=Stops(["STOP"]), reasoning=Reasoning(), tools=TOOL_PARSERS["hermes"](ids))


def told(document: Document) -> object:
    envelope = Envelope(Call("c", "chat", {}, "m", stream=False, show_usage=False, deadline=0.0), 0)
    return msgspec.json.decode(envelope.document([document], Usage(0, 0)))["choices"][0]


@given(st.lists(st.integers(1, len(TEXT) - 1), max_size=12))
def test_it_does_not_matter_how_the_text_is_cut(cuts: list[int]) -> None:
    document = Document(0)
    choice = made(document)
    borders = sorted({0, *cuts, len(TEXT)})
    for begin, end in itertools.pairwise(borders):
        choice.say(TEXT[begin:end], None)
    assert choice.stopped
    choice.end("stop")
    assert told(document) == {
        "index": 0,
        "message": {
            "role": "assistant",
            "content": "I call.",
            "reasoning_content": "Hm, f?",
            "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "f", "arguments": '{"a": 1}'}}],
        },
        "logprobs": None,
        "finish_reason": "tool_calls",
    }


@pytest.mark.parametrize("reason", ["stop", "length"])
def test_what_was_held_back_is_told_at_the_end(reason: str) -> None:
    document = Document(0)
    choice = Choice(document, stops=Stops(["STOP"]), tools=TOOL_PARSERS["hermes"](ids))
    choice.say("a <tool_call>{ ST", None)
    choice.end(reason)
    assert told(document) == {
        "index": 0,
        "message": {"role": "assistant", "content": "a <tool_call>{ ST"},
        "logprobs": None,
        "finish_reason": reason,
    }


def test_plain_text_goes_straight_to_the_writer() -> None:
    writer = Document(0)
    assert Choice(writer).say == writer.text


def test_a_prompt_is_repeated_once_and_before_all() -> None:
    for said in ((), ("a", "b")):
        document = Document(0)
        choice = Choice(document, stops=Stops(["prompt"]), echo="The prompt: ")
        for text in said:
            choice.say(text, None)
        assert not choice.stopped
        choice.end("stop")
        assert msgspec.json.decode(document.encode(chat=False))["text"] == "The prompt: " + "".join(said)


def test_log_probabilities_follow_text_that_was_held() -> None:
    envelope = Envelope(Call("c", "chat", {}, "m", stream=True, show_usage=False, deadline=0.0), 0)
    choice = Choice(Chunks(envelope, 0), stops=Stops(["STOP"]), logprobs=True)
    assert choice.say("ST", [-1.0]) == b""
    assert choice.say("", [-2.0]) == b""
    data = choice.say("ATE", [-3.0])
    told = msgspec.json.decode(data[6:])["choices"][0]
    assert told["delta"]["content"] == "STATE"
    assert [one["logprob"] for one in told["logprobs"]["content"]] == [-1.0, -2.0, -3.0]


def test_log_probabilities_of_thoughts_are_not_those_of_the_text() -> None:
    document = Document(0)
    choice = Choice(document, reasoning=Reasoning(), logprobs=True)
    for text, logprob in (("<think>", -1.0), ("Hm.", -2.0), ("</think>", -3.0), ("Yes", -4.0)):
        choice.say(text, [logprob])
    choice.end("stop")
    told = msgspec.json.decode(document.encode(chat=True))
    assert told["message"]["content"] == "Yes"
    assert -1.0 not in [one["logprob"] for one in told["logprobs"]["content"]]
    assert told["logprobs"]["content"][-1]["logprob"] == -4.0


def test_a_call_that_there_was_no_room_for_ends_by_its_length() -> None:
    document = Document(0)
    choice = Choice(document, tools=TOOL_PARSERS["hermes"](ids))
    choice.say('<tool_call>{"name": "f", "arguments": {"a"', None)
    choice.end("length")
    assert msgspec.json.decode(document.encode(chat=True))["finish_reason"] == "length"
    assert msgspec.json.decode(document.encode(chat=True))["message"]["content"] is None


def test_what_the_server_takes_back_of_a_stop_string_is_not_said() -> None:
    document = Document(0)
    choice = Choice(document, stops=Stops(["STOP"]))
    choice.say("Hi. STO", None)
    choice.end("stop", "STO")
    assert msgspec.json.decode(document.encode(chat=True))["message"]["content"] == "Hi. "
