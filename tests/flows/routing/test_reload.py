"""Models and routes change under load, and no request loses anything or sees two configurations at once."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loadtests.prove.answers import Answer
from tests.support.asking import ask, body, text
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import configuration
from tests.support.reloaded import Crowd, Reloadable, reloadable
from tests.support.waiting import PATIENCE, wait_until

SIZES = (5, 9)
"""Tokens that each of the two model servers answers with: from an answer it is seen who gave it."""


@pytest.fixture
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(2, "delay_ms=2") as running:
        for replica, tokens in zip(running.replicas, SIZES, strict=True):
            replica.set(tokens=tokens)
        yield running


def served(fleet: SpawnedFleet, *servers: int, **settings: Any) -> dict[str, Any]:
    """A version of `mock` on some of the servers."""
    replicas = [{"url": fleet.urls[server]} for server in servers]
    return {"name": "mock", "engine": "openai", "replicas": replicas, **settings}


def tree(*models: dict[str, Any], **sections: Any) -> dict[str, Any]:
    return configuration(models=list(models), **sections)


def version(answer: Answer) -> str:
    return answer.headers["x-model-version"].rpartition("@")[2]


def tasks(stand: Reloadable) -> int:
    return int(stand.gateway.run(lambda: len(asyncio.all_tasks())))


def open_files() -> int:
    gc.collect()
    return sum(1 for _ in Path("/proc/self/fd").iterdir())


def test_reloads_under_load_lose_no_request_and_leave_nothing_behind(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """Two configurations a hundred times in turn: each has its own version, upstream name and model server."""
    states = [tree(served(fleet, at, version=f"v{at}", upstream=f"up-{at}")) for at in (0, 1)]
    with reloadable(states[0], tmp_path) as stand:
        for state in (states[1], states[0]):
            stand.reload(state)
        stand.gateway.wait_until(lambda: stand.leaving == 0)
        before = tasks(stand), open_files()
        with Crowd(stand.gateway, 6) as crowd:
            for turn in range(1, 101):
                stand.reload(states[turn % 2])
                assert list(stand.gateway.objects.catalog.snapshot.models["mock"].versions) == [f"v{turn % 2}"]
                crowd.wait_for(5)
        assert not crowd.broken
        assert len(crowd.answers) >= 500
        for answer in crowd.answers:
            assert answer.status == 200, answer
            assert answer.text == text(SIZES[int(version(answer)[1])])
            assert answer.done or not answer.events
        assert {version(answer) for answer in crowd.answers} == {"v0", "v1"}
        stand.gateway.wait_idle()
        stand.gateway.wait_until(lambda: stand.leaving == 0)
        assert len(stand.gateway.objects.upstreams.replicas) == 1
        assert stand.gateway.objects.catalog.number == 103
        kept = before[1] + 6 + 4  # an idle connection per caller; a leak would come to hundreds
        wait_until(lambda: (tasks(stand), open_files()), lambda after: after[0] <= before[0] and after[1] <= kept)
    for at, replica in enumerate(fleet.replicas):
        assert {call.model for call in replica.calls()} == {f"up-{at}"}
        replica.wait_for(lambda calls: all(call.outcome == "finished" for call in calls))


def test_a_kept_replica_keeps_its_connections(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with reloadable(tree(served(fleet, 0)), tmp_path) as stand, stand.gateway.client() as client:
        ask(client, body())
        kept = stand.gateway.objects.upstreams.replicas[0]
        made = fleet.replicas[0].stats()["open_connections"]
        stand.reload(tree(served(fleet, 0, 1, max_tokens=7), {"name": "n", "engine": "scripted"}))
        for _ in range(4):
            ask(client, body())
        assert stand.gateway.objects.upstreams.replicas[0] is kept
        assert fleet.replicas[0].stats()["open_connections"] == made
        assert kept.calls >= 1


def test_a_replica_that_is_gone_ends_its_streams_and_then_its_connections(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with reloadable(tree(served(fleet, 0)), tmp_path) as stand, stand.gateway.client() as client:
        with ThreadPoolExecutor(1) as elsewhere:
            streamed = elsewhere.submit(ask, client, body("tokens=600,delay_ms=5", stream=True))
            fleet.replicas[0].wait_for(lambda calls: any(call.first is not None for call in calls))
            stand.reload(tree(served(fleet, 1)))
            with stand.gateway.client() as another:
                assert ask(another, body()).text == text(SIZES[1])
            assert stand.leaving == 1
            assert streamed.result(PATIENCE).text == text(600)
        assert streamed.result().done
        assert fleet.replicas[0].stats()["started"] == 1
        stand.gateway.wait_until(lambda: stand.leaving == 0)
        stand.gateway.wait_until(lambda: fleet.replicas[0].stats()["open_connections"] == 0)


def test_what_outlasts_the_drain_cap_is_cut_and_told(fleet: SpawnedFleet, tmp_path: Path) -> None:
    server = {"drain_cap": 0.2}
    with (
        reloadable(tree(served(fleet, 0), server=server), tmp_path) as stand,
        stand.gateway.client() as client,
        ThreadPoolExecutor(1) as elsewhere,
    ):
        streamed = elsewhere.submit(ask, client, body("tokens=900,delay_ms=50", stream=True))
        fleet.replicas[0].wait_for(lambda calls: any(call.first is not None for call in calls))
        stand.reload(tree({"name": "n", "engine": "scripted"}, server=server))
        answer = streamed.result(PATIENCE)
        assert answer.error is not None
        assert answer.error["code"] == "upstream_interrupted"
        assert not answer.done


def test_a_model_that_is_gone_is_unknown_and_a_new_one_is_known_at_once(fleet: SpawnedFleet, tmp_path: Path) -> None:
    routing = [{"model": "mock", "aliases": ["old"]}]
    with reloadable(tree(served(fleet, 0), routing=routing), tmp_path) as stand, stand.gateway.client() as client:
        assert ask(client, body(model="old")).status == 200
        reloaded = stand.reload(tree({**served(fleet, 0), "name": "new"}))
        assert (reloaded.added, reloaded.removed) == (["new@1"], ["mock@1", "routing of mock"])
        answers = {name: ask(client, body(model=name)).status for name in ("mock", "old", "new")}
        assert answers == {"mock": 404, "old": 404, "new": 200}
        listed = [model["id"] for model in client.get("/v1/models").json()["data"]]
        assert listed == ["new"]
