"""A whole gateway over TensorRT-LLM's API: the official SDK, a caller that leaves, a child that dies, on uvloop."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, cast

import openai
import pytest

from engines.tensorrt_llm.engine import TensorrtLlmEngine
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.sdk_answers import chat, completion
from tests.support.tensorrt_llm import FAKE, Journal, fake_model
from tests.support.waiting import PATIENCE

QUESTION = [{"role": "user", "content": "Say something."}]
TEXT = "The avalanche passes above the road \U0001f3d4,"
TOOL = {"type": "function", "function": {"name": "look_up", "parameters": {"type": "object", "properties": {}}}}


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return fake_model(tmp_path_factory.mktemp("models") / "model")


@pytest.fixture(scope="module")
def gateway(model: Path) -> Iterator[RunningGateway]:
    replica = {"model": str(model), "guided_decoding": "xgrammar", "tools": "hermes"}
    tree = configuration(models=[{"name": "llm", "engine": "tensorrt_llm", "replicas": [replica]}])
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PYTHONPATH", str(FAKE))  # of the child: this process has been started
        with running_gateway(tree) as running:
            yield running


@pytest.fixture
def client(gateway: RunningGateway) -> Iterator[openai.OpenAI]:
    with openai.OpenAI(base_url=f"{gateway.url}/v1", api_key="none", max_retries=0, timeout=PATIENCE) as one:
        yield one
    gateway.wait_idle()


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("ask", [chat, completion])
def test_the_sdk_gets_the_same_either_way(client: openai.OpenAI, ask: Any, *, stream: bool) -> None:
    subject: dict[str, Any] = {"messages": QUESTION} if ask is chat else {"prompt": "Say something."}
    told = ask(client, stream=stream, model="llm", max_tokens=10, temperature=0, **subject)
    assert dict(told.texts) == {0: TEXT}
    assert dict(told.reasons) == {0: "length"}
    assert told.usage is not None
    assert told.usage[1] == 10
    assert len(told.heads) == 1


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_choices_stops_seeds_and_log_probabilities(client: openai.OpenAI, *, stream: bool) -> None:
    told = chat(client, stream=stream, model="llm", messages=QUESTION, max_tokens=5, n=3, seed=0, logprobs=True)
    assert sorted(told.texts) == [0, 1, 2]
    assert len(set(told.texts.values())) == 3
    assert [value for _, value in told.logprobs[1]] == [-0.25] * 5
    told = chat(client, stream=stream, model="llm", messages=QUESTION, max_tokens=5000, temperature=0, stop="e ro")
    assert (told.texts[0], told.reasons[0]) == ("The avalanche passes above th", "stop")


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_a_forced_call_and_a_schema(client: openai.OpenAI, *, stream: bool) -> None:
    told = chat(
        client, stream=stream, model="llm", messages=QUESTION, max_tokens=100, tools=[TOOL], tool_choice="required"
    )
    assert (told.calls[0], told.reasons[0]) == ([["look_up", "{}"]], "tool_calls")
    form = {"type": "json_schema", "json_schema": {"name": "s", "schema": {"type": "object"}}}
    told = chat(client, stream=stream, model="llm", messages=QUESTION, max_tokens=100, response_format=form)
    assert (told.texts[0], told.reasons[0]) == ('{"answer": 42}', "stop")


def test_what_it_can_not_carry_is_a_400_that_names_it(client: openai.OpenAI, model: Path) -> None:
    before = len(Journal(model).notes("begin"))
    with pytest.raises(openai.BadRequestError) as caught:
        chat(client, stream=False, model="llm", messages=QUESTION, logit_bias={"7": 5})
    assert (caught.value.param, caught.value.code) == ("logit_bias", "unsupported_parameter")
    assert len(Journal(model).notes("begin")) == before


def test_a_caller_that_leaves_frees_the_llm(client: openai.OpenAI, gateway: RunningGateway, model: Path) -> None:
    before = len(Journal(model).notes("end"))
    stream = client.chat.completions.create(
        model="llm", messages=cast("Any", QUESTION), max_tokens=100_000, stream=True
    )
    next(iter(stream))
    stream.close()
    gateway.wait_until(lambda: len(Journal(model).notes("end")) > before)
    assert Journal(model).notes("end")[-1]["reason"] == "cancelled"


def test_100_callers_at_a_time_each_get_their_own(client: openai.OpenAI) -> None:
    def one(number: int) -> str:
        question = [{"role": "user", "content": f"@@say=caller {number}@@"}]
        return chat(client, stream=True, model="llm", messages=question, max_tokens=50).texts[0]

    with ThreadPoolExecutor(100) as pool:
        assert list(pool.map(one, range(100))) == [f"caller {number}" for number in range(100)]


def test_a_child_that_dies_is_back_for_the_next_caller(client: openai.OpenAI, gateway: RunningGateway) -> None:
    engine = gateway.objects.upstreams.replicas[0].engine
    child = cast("TensorrtLlmEngine", engine)._child
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    gateway.wait_until(lambda: child.restarts == 1 and child.state == "ready")

    def served() -> bool:
        try:
            return bool(chat(client, stream=False, model="llm", messages=QUESTION, max_tokens=3).texts)
        except openai.InternalServerError:  # the breaker takes its time
            return False

    gateway.wait_until(served)
