"""LoRA adapters through the whole gateway: models of their own to clients, and never by a caller's path or id."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import openai
import pytest

from loadtests.triton import Entry, TritonServer
from tests.support.triton_stand import Journal, TritonStand, behind, triton_stand

POET = {"name": "poet", "id": 7, "path": "/adapters/poet"}
CLERK = {"name": "clerk", "id": 8, "path": "/adapters/clerk"}
MODELS = {"llmapi": "llmapi", "ensemble": "ensemble", "bls": "tensorrt_llm_bls"}


@pytest.fixture(scope="module")
def stand(triton: TritonServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[TritonStand]:
    triton.need(*MODELS.values())

    urls = triton.grpc, triton.grpc.replace("127.0.0.1", "localhost")  # two replicas that are one server

    def models(tokenizer: Path) -> list[dict[str, Any]]:
        return [
            behind(name, tokenizer, *({"url": url, "model": model, "adapters": [POET, CLERK]} for url in urls))
            for name, model in MODELS.items()
        ]

    with triton_stand(tmp_path_factory.mktemp("stand"), models) as running:
        yield running


def ask(stand: TritonStand, model: str, **more: Any) -> str:
    answer = stand.sdk().completions.create(model=model, prompt="Say it.", max_tokens=4, **more)
    assert answer.model == model
    return str(answer.choices[0].text)


def lora(entry: Entry) -> dict[str, list[Any]]:
    return {name: values for name, values in entry.inputs.items() if name.startswith("lora")}


def test_each_is_a_model_to_clients(stand: TritonStand) -> None:
    names = [model.id for model in stand.sdk().models.list()]
    assert names == [name for base in MODELS for name in (base, f"{base}:poet", f"{base}:clerk")]
    assert stand.sdk().models.retrieve("llmapi:poet").id == "llmapi:poet"


@pytest.mark.parametrize(
    ("model", "carried"),
    [
        ("llmapi:poet", {"lora_id": [7], "lora_name": ["poet"], "lora_path": ["/adapters/poet"]}),
        ("llmapi:clerk", {"lora_id": [8], "lora_name": ["clerk"], "lora_path": ["/adapters/clerk"]}),
        ("llmapi", {}),
        ("ensemble:poet", {"lora_task_id": [7]}),
        ("ensemble", {}),
        ("bls:clerk", {"lora_task_id": [8]}),
    ],
)
def test_its_requests_carry_it(stand: TritonStand, journal: Journal, model: str, carried: dict[str, list[Any]]) -> None:
    assert ask(stand, model)
    (asked,) = journal.asked()
    assert lora(asked) == carried


@pytest.mark.parametrize(
    "model", ["llmapi:ghost", "llmapi:/adapters/poet", "llmapi:7", "llmapi:", "llmapi:poet:clerk", "poet"]
)
def test_an_unknown_one_is_no_model(stand: TritonStand, journal: Journal, model: str) -> None:
    with pytest.raises(openai.NotFoundError) as refused:
        ask(stand, model)
    assert (refused.value.code, refused.value.param) == ("model_not_found", "model")
    assert journal.asked() == []


@pytest.mark.parametrize("member", ["lora_path", "lora_id", "lora_name", "lora_request"])
def test_a_caller_can_t_bring_one(stand: TritonStand, journal: Journal, member: str) -> None:
    with pytest.raises(openai.BadRequestError) as refused:
        ask(stand, "llmapi:poet", extra_body={member: "x"})
    assert refused.value.param == member
    assert journal.asked() == []
