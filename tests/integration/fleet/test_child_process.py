"""The fleet as a child process: started, told what to do, asked what happened, with the official SDK as client."""

from collections.abc import Iterator

import openai
import pytest

from loadtests.fleet.answers import words
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.triton_asking import answers, ask, request, said, stub_of


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(replicas=2, settings="tokens=8") as fleet:
        yield fleet


@pytest.fixture
def client(fleet: SpawnedFleet) -> Iterator[openai.OpenAI]:
    for replica in fleet.replicas:
        replica.reset()
    with openai.OpenAI(base_url=fleet.urls[0], api_key="none", max_retries=0) as client:
        yield client


def test_the_sdk_gets_an_answer_and_the_log_says_what_it_sent(fleet: SpawnedFleet, client: openai.OpenAI) -> None:
    answer = client.chat.completions.create(model="m", messages=[{"role": "user", "content": "one two three"}])
    assert answer.choices[0].message.content == "".join(words(0, 8))
    assert answer.usage is not None
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (3, 8)
    (call,) = fleet.replicas[0].wait_for(lambda calls: bool(calls) and calls[0].outcome == "finished")
    assert call.body["messages"][0]["content"] == "one two three"
    assert call.header("authorization") == "Bearer none"
    assert fleet.replicas[1].calls() == []


def test_the_sdk_streams_with_usage(client: openai.OpenAI) -> None:
    stream = client.chat.completions.create(
        model="m", messages=[{"role": "user", "content": "hi"}], stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == "".join(words(0, 8))
    assert [chunk.choices[0].finish_reason for chunk in chunks[:-1]] == [None] * 8 + ["stop"]
    assert chunks[-1].usage is not None
    assert chunks[-1].usage.completion_tokens == 8


def test_settings_change_for_one_replica_and_a_refusing_one_comes_back(
    fleet: SpawnedFleet, client: openai.OpenAI
) -> None:
    fleet.replicas[0].set(tokens=2, upstream_model="other")
    answer = client.completions.create(model="m", prompt="a b")
    assert (answer.choices[0].text, answer.model) == ("The quick", "other")
    fleet.replicas[0].listen("refused", drop=True)
    with pytest.raises(openai.APIConnectionError):
        client.models.list()
    fleet.replicas[0].listen("open")
    assert [model.id for model in client.models.list()] == ["other"]


def test_an_error_status_is_openai_shaped(client: openai.OpenAI) -> None:
    with pytest.raises(openai.RateLimitError) as caught:
        client.completions.create(model="@@fault=status,status=429,retry_after=7@@", prompt="a")
    assert caught.value.code == "rate_limit_exceeded"
    assert caught.value.response.headers["retry-after"] == "7"


def test_the_sdk_reads_embeddings_as_they_were_computed(client: openai.OpenAI) -> None:
    coded = client.embeddings.create(model="m", input=["a", "b c"], dimensions=4)
    plain = client.embeddings.create(model="m", input=["a", "b c"], dimensions=4, encoding_format="float")
    assert [one.embedding for one in coded.data] == [pytest.approx(one.embedding) for one in plain.data]
    assert coded.usage.prompt_tokens == 3


def test_the_sdk_puts_a_streamed_tool_call_together(client: openai.OpenAI) -> None:
    with client.chat.completions.stream(
        model="m",
        messages=[{"role": "user", "content": "weather?"}],
        tools=[{"type": "function", "function": {"name": "weather", "strict": True, "parameters": {}}}],
        tool_choice="required",
    ) as stream:
        (choice,) = stream.get_final_completion().choices
    assert choice.finish_reason == "tool_calls"
    assert choice.message.tool_calls is not None
    (call,) = choice.message.tool_calls
    assert (call.function.name, call.function.arguments) == ("weather", '{"city":"Paris"}')


def test_a_mid_stream_error_event_reaches_the_sdk_as_an_error(client: openai.OpenAI) -> None:
    stream = client.completions.create(model="@@fault=error_event,after=2@@", prompt="a", stream=True)
    with pytest.raises(openai.APIError, match="engine died"):
        list(stream)


async def test_a_child_speaks_triton_and_the_control_port_tells_what_it_heard() -> None:
    with spawn_fleet(replicas=2, settings="tokens=3", contract="ensemble") as fleet:
        (first, second), message = fleet.replicas, request("ensemble", ask("ensemble", "one two", max_tokens=2))
        async with stub_of(first.target) as stub:
            assert said(await answers(stub, message), "ensemble") == b"The quick"
            first.set(fault="error", error="no GPU")
            assert [one.error for one in await answers(stub, message)] == ["no GPU"]
        assert [(call.model, call.outcome, call.tokens) for call in first.calls()] == [
            ("ensemble", "finished", 2),
            ("ensemble", "fault", 0),
        ]
        assert first.calls()[0].body["tensors"]["max_tokens"] == 2
        assert first.stats()["models"]["ensemble"] == "READY"
        assert (first.stats()["peak_running"], first.stats()["open_streams"], second.stats()["started"]) == (1, 0, 0)
