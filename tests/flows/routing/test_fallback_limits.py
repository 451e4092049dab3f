"""Where a fall-back ends: at pins, at prompts that servers die of, and at what the other model takes for a mistake."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, running_gateway


@pytest.fixture
def fleet() -> Iterator[SpawnedFleet]:
    """Two servers of `chat` and two of `small`, to which it falls back."""
    with spawn_fleet(4, "tokens=4") as made:
        yield made


@pytest.fixture
def gateway(fleet: SpawnedFleet) -> Iterator[RunningGateway]:
    urls = [replica.url for replica in fleet.replicas]
    models: list[dict[str, Any]] = [
        {"name": name, "engine": "openai", "replicas": [{"url": url} for url in some]}
        for name, some in (("chat", urls[:2]), ("small", urls[2:]))
    ]
    tree = configuration(
        models=models, routing=[{"model": "chat", "fallback": {"models": ["small"]}}], timeouts={"first_token": 0.5}
    )
    with running_gateway(tree) as made:
        yield made
        made.wait_idle()


def ask(gateway: RunningGateway, model: str, text: str = "Hi") -> httpx2.Response:
    with gateway.client() as client:
        return client.post(
            "/v1/chat/completions", json={"model": model, "messages": [{"role": "user", "content": text}]}
        )


def test_a_pin_falls_back_to_nothing(gateway: RunningGateway, fleet: SpawnedFleet) -> None:
    for replica in fleet.replicas[:2]:
        replica.set(fault="status", status=500)
    assert ask(gateway, "chat").headers["x-model-version"] == "small@1"
    answer = ask(gateway, "chat@1")
    assert (answer.status_code, answer.headers["x-model-version"]) == (502, "chat@1")
    assert "x-gateway-degraded" not in answer.headers


def test_p14_a_prompt_that_takes_down_two_servers_is_kept_from_those_of_another_model(
    gateway: RunningGateway, fleet: SpawnedFleet
) -> None:
    answer = ask(gateway, "chat", "@@fault=reset@@")
    assert answer.json()["error"]["code"] == "upstream_unreachable"
    assert [replica.stats()["started"] > 0 for replica in fleet.replicas] == [True, True, False, False]


def test_another_model_s_refusal_is_not_taken_for_the_caller_s_mistake(
    gateway: RunningGateway, fleet: SpawnedFleet
) -> None:
    for replica in fleet.replicas[:2]:
        replica.set(fault="status", status=500)
    for replica in fleet.replicas[2:]:
        replica.set(fault="status", status=400)
    answer = ask(gateway, "chat")
    assert (answer.status_code, answer.json()["error"]["code"]) == (502, "upstream_error")


def test_the_wait_for_the_first_model_is_not_the_gateway_s_own(gateway: RunningGateway, fleet: SpawnedFleet) -> None:
    for replica in fleet.replicas[:2]:
        replica.set(fault="accept_silent")
    answer = ask(gateway, "chat")
    assert answer.headers["x-model-version"] == "small@1"
    (own,) = re.findall(r"gateway;dur=([\d.]+)", answer.headers["server-timing"])
    assert float(own) < 500
