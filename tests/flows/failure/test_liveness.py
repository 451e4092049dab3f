"""P13: alive whatever the upstreams do, ready with reasons, and no probe ever costs a token."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from tests.support import plain
from tests.support.asking import body, request_bytes
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.raw import RawClient


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(2) as running:
        yield running


@pytest.fixture
def healthy(fleet: SpawnedFleet) -> SpawnedFleet:
    for replica in fleet.replicas:
        replica.reset()
    return fleet


@contextmanager
def serving(fleet: SpawnedFleet) -> Iterator[RunningGateway]:
    with running_gateway(configuration(fleet.urls, timeouts={"first_token": 0.5})) as gateway:
        yield gateway


def get(gateway: RunningGateway, path: str) -> tuple[int, Any]:
    response = plain.get(f"{gateway.ops_url}{path}")
    return response.status_code, response.json()


REASONS = {"hang": "first token limit", "down": "can't be reached", "ill": "500"}


def spoil(fleet: SpawnedFleet, state: str) -> None:
    for replica in fleet.replicas:
        if state == "down":
            replica.listen("refused", drop=True)
        else:
            replica.set(health=0 if state == "hang" else 500)


def assert_alive_but_not_ready(gateway: RunningGateway, fleet: SpawnedFleet, state: str) -> None:
    def told() -> bool:
        status, answer = get(gateway, "/readyz")
        return status == 503 and REASONS[state] in " ".join(answer["reasons"])

    gateway.wait_until(told)
    reasons = get(gateway, "/readyz")[1]["reasons"]
    assert [reason.partition(":")[0] for reason in reasons] == ["model mock"]
    assert get(gateway, "/livez")[0] == 200
    assert [call.path for replica in fleet.replicas for call in replica.calls()] == []  # probes are no calls


@pytest.mark.parametrize("state", ["hang", "ill"])
def test_p13_with_sick_upstreams_the_gateway_is_alive_and_says_why_it_is_not_ready(
    healthy: SpawnedFleet, state: str
) -> None:
    spoil(healthy, state)
    with serving(healthy) as gateway:
        assert_alive_but_not_ready(gateway, healthy, state)
        for replica in healthy.replicas:
            replica.reset()
        gateway.wait_until(lambda: get(gateway, "/readyz")[0] == 200)


def test_p13_when_its_upstreams_go_down_the_gateway_is_no_longer_ready(
    healthy: SpawnedFleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("router.health.PROBE_EVERY", 0.3)
    with serving(healthy) as gateway:
        gateway.wait_until(lambda: get(gateway, "/readyz")[0] == 200)
        spoil(healthy, "down")
        assert_alive_but_not_ready(gateway, healthy, "down")


def test_p13_one_replica_is_enough_to_be_ready(healthy: SpawnedFleet) -> None:
    healthy.replicas[0].listen("refused", drop=True)
    with serving(healthy) as gateway:
        gateway.wait_until(lambda: get(gateway, "/readyz")[0] == 200)


def test_p13_a_saturated_upstream_is_no_dead_one(healthy: SpawnedFleet) -> None:
    """Readiness is about whether probes are answered, not about how long an answer takes."""
    for replica in healthy.replicas:
        replica.set(slots=1, service_ms=60_000)
    wanted = request_bytes(body())
    with serving(healthy) as gateway, RawClient(gateway.url) as one, RawClient(gateway.url) as other:
        for client in (one, other):
            client.socket.sendall(wanted)
        for replica in healthy.replicas:
            replica.wait_for(lambda calls: len(calls) >= 1)
        gateway.wait_until(lambda: get(gateway, "/readyz")[0] == 200)
        assert get(gateway, "/livez")[0] == 200
