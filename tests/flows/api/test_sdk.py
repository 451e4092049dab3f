"""The official SDK works by changing `base_url` alone: unary, streams, its helpers, embeddings, models."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, cast

import httpx2
import openai
import pytest
from openai.types.chat import ChatCompletionChunk, ChatCompletionMessageParam

from tests.support.api import NAMED, Api
from tests.support.asking import text

HELLO: list[ChatCompletionMessageParam] = [{"role": "user", "content": "Hello"}]
CITY = {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]}
WEATHER: Any = {
    "type": "function",
    "function": {"name": "weather", "strict": True, "parameters": CITY | {"additionalProperties": False}},
}


def test_a_whole_answer(stand: Api) -> None:
    answer = stand.client().chat.completions.create(model=NAMED, messages=HELLO)
    assert answer.choices[0].message.content == text(12)
    assert answer.choices[0].finish_reason == "stop"
    assert answer.model == NAMED
    assert answer.usage is not None
    assert answer.usage.completion_tokens == 12
    assert answer._request_id is not None
    assert answer._request_id.startswith("req_")


def test_p22_a_stream_has_what_clients_rely_on(stand: Api) -> None:
    """P22: as the SDK parses it: role first, one finish_reason, no chunk without choices unless usage was asked for."""
    with stand.client().chat.completions.create(model=NAMED, messages=HELLO, stream=True) as stream:
        chunks = list(stream)
    assert chunks[0].choices[0].delta.role == "assistant"
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 12 + ["stop"]
    assert {(chunk.id, chunk.created, chunk.model, chunk.object) for chunk in chunks} == {
        (chunks[0].id, chunks[0].created, NAMED, "chat.completion.chunk")
    }
    assert _said(chunks) == text(12)
    assert all(chunk.usage is None for chunk in chunks)


def test_p23_usage_is_the_last_chunk_if_it_was_asked_for(stand: Api) -> None:
    """P23: and it has no choices."""
    chunks = list(
        stand.client().chat.completions.create(
            model="mock", messages=HELLO, stream=True, stream_options={"include_usage": True}
        )
    )
    assert chunks[-1].choices == []
    assert chunks[-1].usage is not None
    assert (chunks[-1].usage.prompt_tokens, chunks[-1].usage.completion_tokens) == (1, 12)
    assert _said(chunks) == text(12)


@pytest.mark.parametrize("include_usage", [False, True])
def test_the_sdks_own_stream_puts_an_answer_together(stand: Api, include_usage: bool) -> None:
    options: Any = {"stream_options": {"include_usage": True}} if include_usage else {}
    with stand.client().chat.completions.stream(model="mock", messages=HELLO, **options) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert kinds.count("content.delta") == 12
    assert kinds.count("content.done") == 1
    assert final.choices[0].message.content == text(12)
    assert (final.usage is not None) is include_usage


async def test_asynchronously(stand: Api) -> None:
    http = httpx2.AsyncClient(trust_env=False)
    async with openai.AsyncOpenAI(base_url=f"{stand.gateway.url}/v1", api_key="none", http_client=http) as client:
        whole = await client.chat.completions.create(model="mock", messages=HELLO)
        stream = await client.chat.completions.create(model="mock", messages=HELLO, stream=True)
        chunks = [chunk async for chunk in stream]
        async with client.chat.completions.stream(model="mock", messages=HELLO) as helped:
            final = await helped.get_final_completion()
        vectors = await client.embeddings.create(model="mock", input="text")
        names = [model.id async for model in client.models.list()]
    assert whole.choices[0].message.content == _said(chunks) == final.choices[0].message.content == text(12)
    assert len(vectors.data[0].embedding) == 16
    assert NAMED in names


def test_text_completions(stand: Api) -> None:
    client = stand.client()
    whole = client.completions.create(model=NAMED, prompt="Once upon", max_tokens=5)
    assert (whole.model, whole.object, whole.choices[0].finish_reason) == (NAMED, "text_completion", "length")
    chunks = list(client.completions.create(model=NAMED, prompt="Once upon", max_tokens=5, stream=True))
    assert {chunk.object for chunk in chunks} == {"text_completion"}
    assert "".join(chunk.choices[0].text for chunk in chunks) == whole.choices[0].text == text(5)
    assert [chunk.choices[0].finish_reason for chunk in chunks] == [None] * 5 + ["length"]


def test_several_answers_and_prompts(stand: Api) -> None:
    client = stand.client()
    whole = client.chat.completions.create(model="mock", messages=HELLO, n=3)
    assert [choice.index for choice in whole.choices] == [0, 1, 2]
    said = ["", "", ""]
    for chunk in client.chat.completions.create(model="mock", messages=HELLO, n=3, stream=True):
        for choice in chunk.choices:
            said[choice.index] += choice.delta.content or ""
    assert said == [text(12)] * 3
    two = client.completions.create(model="mock", prompt=["one", "two words"])
    assert two.usage is not None
    assert (len(two.choices), two.usage.prompt_tokens, two.usage.completion_tokens) == (2, 3, 24)


def test_p22_tool_calls_accumulate(stand: Api) -> None:
    """P22: with an integer index, in a stream by hand, by the helper, and in one piece."""
    client = stand.client()
    options: Any = {"model": "mock", "messages": HELLO, "tools": [WEATHER], "tool_choice": "required"}
    whole = client.chat.completions.create(**options)
    called = cast("Any", whole.choices[0].message.tool_calls)[0].function
    assert (called.name, called.arguments) == ("weather", '{"city":"Paris"}')
    deltas = [
        delta
        for chunk in client.chat.completions.create(**options, stream=True)
        for choice in chunk.choices
        for delta in choice.delta.tool_calls or ()
    ]
    assert {delta.index for delta in deltas} == {0}
    assert [delta.function.name for delta in deltas if delta.function and delta.function.name] == ["weather"]
    assert "".join(delta.function.arguments or "" for delta in deltas if delta.function) == '{"city":"Paris"}'
    with client.chat.completions.stream(**options) as stream:
        helped = cast("Any", stream.get_final_completion().choices[0].message.tool_calls)[0].function
    assert helped.parsed_arguments == {"city": "Paris"}


def test_embeddings_in_both_encodings_are_the_same_numbers(stand: Api) -> None:
    client = stand.client()
    packed = client.embeddings.create(model=NAMED, input=["one", "two"])  # the SDK asks for base64, unasked
    plain = client.embeddings.create(model=NAMED, input=["one", "two"], encoding_format="float")
    assert [call.body["encoding_format"] for call in stand.upstream.calls()] == ["base64", "float"]
    assert [one.embedding for one in packed.data] == [pytest.approx(one.embedding, abs=1e-7) for one in plain.data]
    assert (packed.model, packed.usage.prompt_tokens) == (NAMED, 2)
    assert len(client.embeddings.create(model="mock", input=[[1, 2], [3]], dimensions=5).data[1].embedding) == 5


def test_models_are_listed_and_found_by_name(stand: Api) -> None:
    client = stand.client()
    listed = list(client.models.list())
    assert [model.id for model in listed] == ["mock", NAMED, "capped"]
    for model in listed:
        assert client.models.retrieve(model.id) == model
        assert (model.object, model.owned_by) == ("model", "snowshed")
        assert model.created > 1_700_000_000
    assert stand.upstream.calls() == []


def _said(chunks: Iterable[ChatCompletionChunk]) -> str:
    return "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
