"""OpenAI's JSON: chunks that add up to documents, whatever is said."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st
from openai.types import Completion
from openai.types.chat import ChatCompletion, ChatCompletionChunk

from engines.api import Call, Kind, Usage
from engines.text.answer import Chunks, Document, Envelope, Writer

SAID = st.lists(
    st.one_of(
        st.tuples(st.just("text"), st.text(min_size=1, max_size=20)),
        st.tuples(st.just("reasoning"), st.text(min_size=1, max_size=20)),
        st.tuples(st.just("call"), st.text(min_size=1, max_size=8)),
    ),
    max_size=8,
)


def envelope(kind: Kind, *, stream: bool) -> Envelope:
    call = Call("call-1", kind, {}, 'public/"name"\\1', stream=stream, show_usage=True, deadline=0.0)
    return Envelope(call, 1_750_000_000)


def say(writer: Writer, said: list[tuple[str, str]]) -> bytes:
    out, calls = b"", 0
    for kind, text in said:
        if kind == "text":
            out += writer.text(text)
        elif kind == "reasoning":
            out += writer.reasoning(text)
        else:
            out += writer.call_begun(calls, f"id-{calls}", text) + writer.call_arguments(calls, '{"a":')
            out += writer.call_arguments(calls, "1}")
            calls += 1
    return out + writer.finish("stop")


def events(data: bytes) -> list[Any]:
    assert data.endswith(b"\n\n")
    return [msgspec.json.decode(event.removeprefix(b"data: ")) for event in data.split(b"\n\n")[:-1]]


@given(SAID)
def test_chunks_of_a_chat_add_up_to_its_document(said: list[tuple[str, str]]) -> None:
    chunks = events(say(Chunks(envelope("chat", stream=True), 2), said))
    message: dict[str, Any] = {"content": "", "reasoning_content": ""}
    calls: dict[int, dict[str, Any]] = {}
    for number, chunk in enumerate(chunks):
        ChatCompletionChunk.model_validate(chunk, strict=True)
        [choice] = chunk["choices"]
        assert choice["index"] == 2
        assert ("role" in choice["delta"]) == (number == 0)
        for name in message:
            message[name] += choice["delta"].get(name, "")
        for call in choice["delta"].get("tool_calls", []):
            told = calls.setdefault(
                call["index"], {"id": call.get("id"), "name": call["function"].get("name"), "a": ""}
            )
            told["a"] += call["function"]["arguments"]
    document = Document(2)
    say(document, said)
    whole = msgspec.json.decode(envelope("chat", stream=False).document([document], Usage(3, 4)))
    ChatCompletion.model_validate(whole, strict=True)
    [choice] = whole["choices"]
    assert (choice["message"]["content"] or "") == message["content"]
    assert choice["message"].get("reasoning_content", "") == message["reasoning_content"]
    assert [
        (one["id"], one["function"]["name"], one["function"]["arguments"])
        for one in choice["message"].get("tool_calls", [])
    ] == [(call["id"], call["name"], call["a"]) for call in calls.values()]
    assert chunks[-1]["choices"][0]["finish_reason"] == choice["finish_reason"] == "stop"
    assert whole["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


@given(st.lists(st.text(min_size=1, max_size=20), max_size=5))
def test_chunks_of_a_completion_add_up_to_its_document(texts: list[str]) -> None:
    said = [("text", text) for text in texts]
    chunks = events(say(Chunks(envelope("completion", stream=True), 0), said))
    document = Document(0)
    say(document, said)
    whole = msgspec.json.decode(envelope("completion", stream=False).document([document], Usage(3, 4)))
    for one in (chunks[-1], whole):  # the others have no reason yet, which only the type of the SDK denies
        Completion.model_validate(one, strict=True)
    assert "".join(chunk["choices"][0]["text"] for chunk in chunks) == whole["choices"][0]["text"] == "".join(texts)
    assert {(one["id"], one["object"], one["model"]) for one in chunks} == {
        ("cmpl-call-1", "text_completion", 'public/"name"\\1')
    }


@pytest.mark.parametrize("kind", ["chat", "completion"])
def test_log_probabilities_lie_beside_the_text(kind: Kind) -> None:
    pieces: list[tuple[str, list[float]]] = [("é", [-0.5]), ("two", [-1.0, -2.0]), ("none", [])]
    chunks, document = Chunks(envelope(kind, stream=True), 0), Document(0)
    told = [events(chunks.text(text, logprobs))[0]["choices"][0]["logprobs"] for text, logprobs in pieces]
    for text, logprobs in pieces:
        document.text(text, logprobs)
    document.finish("length")
    joined = {name: [one for each in told for one in each[name]] for name in told[0]}
    whole = msgspec.json.decode(envelope(kind, stream=False).document([document], Usage(1, 1)))
    assert whole["choices"][0]["logprobs"] == joined
    if kind == "chat":
        ChatCompletion.model_validate(whole, strict=True)
        assert [(one["token"], one["logprob"]) for one in joined["content"]] == [("é", -0.5), ("two", -1.0), ("", -2.0)]
        assert joined["content"][0]["bytes"] == [195, 169]
    else:
        Completion.model_validate(whole, strict=True)
        assert joined["tokens"] == ["é", "two", ""]
        assert joined["text_offset"] == [0, 1, 4]
