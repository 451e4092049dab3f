"""A replica or a version is drained by hand: no new work, what it has goes on, and it comes back as it was."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.overrides import Overrides
from tests.support.asking import ask, body, text
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import configuration
from tests.support.reloaded import Reloadable, reloadable
from tests.support.waiting import PATIENCE


@pytest.fixture
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(2, "tokens=3") as running:
        yield running


def drained(stand: Reloadable, *versions: str) -> None:
    overrides = Overrides(drained={"mock": frozenset(versions)} if versions else {})
    stand.gateway.run(lambda: stand.gateway.objects.upstreams.steer(overrides))


def started(fleet: SpawnedFleet) -> list[int]:
    return [replica.stats()["started"] for replica in fleet.replicas]


def test_a_drained_replica_ends_its_stream_and_gets_nothing_new(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with reloadable(configuration(fleet.urls), tmp_path) as stand, stand.gateway.client() as client:
        upstreams = stand.gateway.objects.upstreams
        stand.gateway.run(lambda: upstreams.drain("mock-1"))
        with ThreadPoolExecutor(1) as elsewhere, stand.gateway.client() as another:
            streamed = elsewhere.submit(ask, another, body("tokens=100,delay_ms=5", stream=True))
            fleet.replicas[0].wait_for(lambda calls: any(call.first is not None for call in calls))
            stand.gateway.run(lambda: upstreams.undrain("mock-1"))
            stand.gateway.run(lambda: upstreams.drain("mock-0"))
            for _ in range(10):
                assert ask(client, body()).text == text(3)
            assert started(fleet) == [1, 10]
            answer = streamed.result(PATIENCE)
            assert (answer.text, answer.done) == (text(100), True)
        stand.gateway.run(lambda: upstreams.drain("mock-1"))
        assert ask(client, body()).status == 503
        stand.gateway.run(lambda: upstreams.undrain("mock-0"))
        ask(client, body())
        assert started(fleet) == [2, 10]


def test_a_drained_version_passes_its_callers_on_and_its_pin_has_no_replica(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    models = [
        {"name": "mock", "engine": "openai", "version": version, "replicas": [{"url": url}]}
        for version, url in zip("12", fleet.urls, strict=True)
    ]
    tree = configuration(models=models, routing=[{"model": "mock", "sticky": "none"}])
    with reloadable(tree, tmp_path) as stand, stand.gateway.client() as client:
        drained(stand, "2")
        for _ in range(10):
            assert ask(client, body()).headers["x-model-version"] == "mock@1"
        assert ask(client, body(model="mock@2")).status == 503
        stand.reload({**tree, "models": [{**models[0], "max_tokens": 5}, models[1]]})
        assert ask(client, body(model="mock@2")).status == 503  # a reload changes nothing about it
        drained(stand, "1", "2")
        assert ask(client, body()).status == 503
        drained(stand)
        assert ask(client, body(model="mock@2")).text == text(3)
