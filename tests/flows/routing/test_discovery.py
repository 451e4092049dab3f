"""Replicas behind one name: who is added gets work, who is gone gets no more, and a silent resolver changes nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.discovery import resolve
from tests.support import plain
from tests.support.asking import ask, body, text
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.relay import relaying
from tests.support.upstreams import Names


@pytest.fixture
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(2, "tokens=3") as running:
        yield running


def port(url: str) -> int:
    return int(url.rpartition(":")[2].partition("/")[0])


def found(host: str, url: str) -> dict[str, Any]:
    discovered = {
        "name": "mock",
        "engine": "openai",
        "policy": "round_robin",
        "discover": {"host": host, "every": "100ms"},
        "replicas": [{"url": f"http://{{address}}:{port(url)}/v1"}],
    }
    return configuration(models=[discovered])


def replicas(gateway: RunningGateway) -> list[str]:
    return [replica.name for replica in gateway.objects.upstreams.replicas]


async def test_replicas_are_added_and_removed_as_their_name_says(
    fleet: SpawnedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both servers at one port, as pods are: 127.0.0.1 is one of them, 127.0.0.2 the other."""
    names = Names(pods=["127.0.0.1"])
    monkeypatch.setattr("gateway.wiring.resolve", names)
    here, there = fleet.replicas
    async with relaying(port(there.url), "127.0.0.2", port(here.url)):
        with running_gateway(found("pods", here.url)) as gateway, gateway.client() as client:

            async def asked(times: int) -> list[int]:
                """How many of so many requests each server got."""
                before = [replica.stats()["started"] for replica in fleet.replicas]
                for _ in range(times):
                    answer = await asyncio.to_thread(ask, client, body())
                    assert answer.text == text(3)
                after = [replica.stats()["started"] for replica in fleet.replicas]
                return [one - other for one, other in zip(after, before, strict=True)]

            async def until_found(*expected: str) -> None:
                await asyncio.to_thread(gateway.wait_until, lambda: replicas(gateway) == list(expected))

            assert replicas(gateway) == ["mock-127.0.0.1"]
            assert await asked(4) == [4, 0]
            names.answers["pods"] = ["127.0.0.2", "127.0.0.1"]
            await until_found("mock-127.0.0.1", "mock-127.0.0.2")
            assert min(await asked(20)) > 0
            for silent in ((), OSError("away")):
                names.answers["pods"] = silent
                names.asked.clear()
                await asyncio.to_thread(gateway.wait_until, lambda: len(names.asked) > 2)
                assert min(await asked(20)) > 0
            names.answers["pods"] = ["127.0.0.2"]
            await until_found("mock-127.0.0.2")
            assert await asked(4) == [0, 4]


def test_a_name_that_the_system_knows_is_resolved_before_the_gateway_is_ready(fleet: SpawnedFleet) -> None:
    addresses = asyncio.run(_resolved("localhost"))
    with running_gateway(found("localhost", fleet.urls[0])) as gateway, gateway.client() as client:
        assert set(replicas(gateway)) == {f"mock-{address}" for address in addresses}
        for _ in range(3):
            assert ask(client, body()).text == text(3)


def test_a_name_that_is_not_there_makes_a_gateway_that_says_so(fleet: SpawnedFleet) -> None:
    with running_gateway(found("no-such-host.invalid", fleet.urls[0])) as gateway, gateway.client() as client:
        answer = ask(client, body())
        assert (answer.status, answer.document["error"]["code"]) == (503, "no_replica")
        ready = plain.get(f"{gateway.ops_url}/readyz")
        assert (ready.status_code, ready.json()["reasons"]) == (503, ["model mock: no replica"])


async def _resolved(host: str) -> set[str]:
    return set(await resolve(host))
