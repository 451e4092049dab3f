"""Whatever callers send, a model behind Triton gets what it takes, or hears nothing and the caller is told why.

200 bodies a run against each contract; as many as a hypothesis profile of more examples says, if one is loaded.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from typing import Any, cast

import httpx2
import pytest
from hypothesis import event, given

from engines.api import Kind
from loadtests.fleet.triton.contracts import ContractName
from loadtests.triton import TritonServer
from tests.properties.triton_bodies import BASES, bodies, in_range
from tests.support.examples import thorough
from tests.support.fleet import SpawnedReplica, spawn_fleet
from tests.support.triton_stand import TRANSPORTS, Journal, TritonStand, behind, triton_stand

PATHS: dict[Kind, str] = {"chat": "/v1/chat/completions", "completion": "/v1/completions"}
MODELS: dict[ContractName, str] = {"llmapi": "tensorrt_llm", "ensemble": "ensemble"}
SOON = 0.2
"""Ten times the seconds that a refusal may take at p95."""
Place = tuple[TritonStand, SpawnedReplica]


@pytest.fixture(scope="module", params=MODELS)
def place(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Transports take turns: which of them it is is nothing to what is sent."""
    contract = cast("ContractName", request.param)
    transport = TRANSPORTS[list(MODELS).index(contract) % len(TRANSPORTS)]
    with spawn_fleet(settings="tokens=2", contract=contract) as fleet:
        target = {"url": fleet.targets[0], "model": MODELS[contract], "transport": transport, "tools": "hermes"}
        folder = tmp_path_factory.mktemp(contract)
        with triton_stand(folder, lambda tokenizer: [behind("m", tokenizer, target)]) as stand:
            yield stand, fleet.replicas[0]
            stand.wait_idle()
            assert fleet.replicas[0].stats()["running"] == 0


@pytest.fixture(scope="module")
def refusing(place: Place) -> Iterator[list[float]]:
    """Collects how long each refusal took."""
    took: list[float] = []
    yield took
    assert len(took) > 20
    assert sorted(took)[int(len(took) * 0.95)] < SOON


@thorough(200)
@given(bodies())
def test_p14_whatever_is_asked_is_refused_by_name_or_what_the_model_takes(
    place: Place, refusing: list[float], asked: tuple[Kind, dict[str, Any]]
) -> None:
    """P14: nothing out of range ever gets there, and nobody waits long to hear what was wrong."""
    stand, replica = place
    kind, body = asked
    replica.reset()
    began = time.monotonic()
    answer = stand.http.post(PATHS[kind], json={"model": "m"} | body)
    took = time.monotonic() - began
    calls = replica.calls()
    event(f"answered {answer.status_code}")
    if answer.status_code == 200:
        assert "error" not in answer.text.partition("\n")[0]
        assert calls
        for call in calls:
            assert call.fault == ""
            for name, value in call.body["tensors"].items():
                for one in value if isinstance(value, list) else [value]:
                    assert in_range(name, one), (name, one)
    else:
        check_refusal(answer, body)
        refusing.append(took)
        assert calls == []


def check_refusal(answer: httpx2.Response, body: dict[str, Any]) -> None:
    assert answer.status_code == 400, answer.text
    error = answer.json()["error"]
    assert error["code"]
    assert error["param"]
    assert re.split(r"[.\[]", error["param"])[0] in {"stream_options", *body}


def test_p14_sound_bodies_are_answered(place: Place) -> None:
    stand, replica = place
    replica.reset()
    for kind, body in BASES.items():
        assert stand.http.post(PATHS[kind], json={"model": "m"} | body).status_code == 200
    assert [call.outcome for call in replica.calls()] == ["finished"] * 2


LIMIT = 24
"""The longest prompt of a model whose config says that prompt and answer have 25 tokens."""


@pytest.fixture(scope="module")
def limited(triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonStand]:
    """Over a model whose limits stand in its config, as the server tells it."""
    triton.need("llmapi_unary")
    config = json.loads(triton.ask("GET", "/v2/models/llmapi_unary/config")[1])
    config["parameters"] |= {"max_seq_len": {"string_value": "25"}, "max_num_tokens": {"string_value": "8192"}}
    triton.load("llmapi_unary", config=config)
    target = {"url": triton.grpc, "model": "llmapi_unary"}
    refusing = target | {"limits": {"policy": "refuse"}}
    try:
        with triton_stand(
            tmp_path_factory.mktemp("limited"),
            lambda tokenizer: [behind("clamping", tokenizer, target), behind("refusing", tokenizer, refusing)],
        ) as stand:
            yield stand
    finally:
        triton.load("llmapi_unary")


def test_p29_a_prompt_of_one_token_too_many_is_refused_with_both_numbers(
    limited: TritonStand, journal: Journal
) -> None:
    """P29: and the model hears only of the one that is as long as it may be."""
    answer = limited.http.post(PATHS["completion"], json={"model": "clamping", "prompt": "word " * (LIMIT + 1)})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "prompt")
    assert {str(LIMIT), str(LIMIT + 1)} <= set(re.findall(r"\d+", error["message"]))
    assert journal.asked() == []
    answer = limited.http.post(PATHS["completion"], json={"model": "clamping", "prompt": "word " * LIMIT})
    assert answer.json()["usage"]["prompt_tokens"] == LIMIT
    assert [one.inputs["sampling_param_max_tokens"] for one in journal.asked()] == [[1]]


def test_p29_a_chat_is_measured_with_its_template(limited: TritonStand, journal: Journal) -> None:
    """P29: `user : … \\n assistant :` are four tokens more."""

    def ask(words: int) -> httpx2.Response:
        messages = [{"role": "user", "content": "word " * words}]
        return limited.http.post(PATHS["chat"], json={"model": "clamping", "messages": messages})

    assert ask(LIMIT - 4).status_code == 200
    assert ask(LIMIT - 3).json()["error"]["param"] == "messages"
    assert len(journal.asked()) == 1


def test_p29_an_answer_that_may_become_too_long_is_cut_or_refused(limited: TritonStand, journal: Journal) -> None:
    """P29: as the policy says."""
    body = {"prompt": "word " * 20, "max_tokens": 6}
    answer = limited.http.post(PATHS["completion"], json=body | {"model": "refusing"})
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["param"]) == ("context_length_exceeded", "max_tokens")
    assert {"25", "26"} <= set(re.findall(r"\d+", error["message"]))
    assert journal.asked() == []
    answer = limited.http.post(PATHS["completion"], json=body | {"model": "clamping"})
    assert answer.json()["usage"]["completion_tokens"] > 0
    assert [one.inputs["sampling_param_max_tokens"] for one in journal.asked()] == [[5]]


def test_p29_an_oversized_body_is_refused_before_it_is_read(limited: TritonStand, journal: Journal) -> None:
    """P29: by its length alone."""
    answer = limited.http.post(PATHS["completion"], json={"model": "clamping", "prompt": "x" * (9 << 20)})
    assert answer.status_code == 413
    assert journal.asked() == []
