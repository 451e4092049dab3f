"""The fleet as a child process: started, told what to do, asked what happened, with the official SDK as client."""

import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import msgspec
import openai
import pytest

from loadtests.fleet.answers import words
from loadtests.fleet.settings import Settings
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import ROOT
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


def refused(*options: str) -> tuple[int, str, str]:
    """Exit status and what is said on each stream, where it does not serve."""
    command = [sys.executable, "-m", "loadtests.fleet", *options]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, timeout=30, check=False)
    return done.returncode, done.stdout, done.stderr


def test_what_holds_for_a_whole_replica_can_be_set_from_the_start() -> None:
    with (
        spawn_fleet(settings="slots=2,service_ms=200") as fleet,
        openai.OpenAI(base_url=fleet.urls[0], api_key="none", max_retries=0) as client,
        ThreadPoolExecutor(4) as callers,
    ):
        list(callers.map(lambda _: client.completions.create(model="m", prompt="a"), range(4)))
        (replica,) = fleet.replicas
        replica.wait_for(lambda calls: [call.outcome for call in calls] == ["finished"] * 4)
        assert replica.stats()["peak_running"] == 2


@pytest.mark.parametrize("mistake", ["slots=x", "slots", "slotz=4", "fault=none"])
def test_a_mistaken_setting_is_told_as_a_mistake(mistake: str) -> None:
    status, said_, told = refused(f"--set={mistake}")
    assert (status, said_) == (2, "")
    assert told.splitlines()[-1].startswith("python -m loadtests.fleet: error: argument --set: ")


def test_a_port_that_is_none_is_told_in_a_sentence() -> None:
    status, _, told = refused("--port=65536")
    assert (status, told.count("\n"), told.partition(":")[0]) == (1, 1, "The fleet did not start")


def test_its_help_names_every_setting() -> None:
    status, told, _ = refused("--help")
    assert status == 0
    told = " ".join(told.split())
    assert [name for name, value in msgspec.structs.asdict(Settings()).items() if f" {name}={value}" not in told] == []
