"""What was learned of answers is known to the next process, as far as its file is whole."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.support import plain
from tests.support.asking import ask, request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import SpawnedGateway, configuration, metric, spawned_gateway
from tests.support.queueing import LONG, named
from tests.support.raw import RawClient
from tests.support.waiting import PATIENCE, wait_until

KV = 1000
"""Tokens that the replica may have under way, so that its utilisation tells what a request is expected to take."""
SHORT = 240
"""Tokens of a request of which hardly an answer is expected: the prompt has some 200."""
PROMPT = "word " * 150
"""Of as many bytes to a token as is expected at first, about: so that all are of one size from the first one on."""


@contextmanager
def started(fleet: SpawnedFleet, folder: Path) -> Iterator[SpawnedGateway]:
    """A process that keeps what it learns, until it is told to end."""
    tree: dict[str, Any] = configuration(fleet.urls, admission={"costs": str(folder / "costs.json")})
    tree["models"][0]["limits"] = {"kv_tokens": KV}
    with spawned_gateway(tree, folder) as gateway:
        yield gateway
        gateway.terminate()
        assert gateway.wait(PATIENCE) == 0


def expected(gateway: SpawnedGateway) -> float:
    """Tokens, of the prompt and of its answer, of a request that is under way."""

    def used() -> float:
        text = plain.get(f"{gateway.ops_url}/metrics").text
        return metric(text, "snowshed_replica_utilisation", limit="kv_tokens") * KV

    with RawClient(gateway.url) as client:
        client.socket.sendall(request_bytes(named(PROMPT, LONG)))
        taken = wait_until(used)
    wait_until(used, (0.0).__eq__)
    return taken


def teach(gateway: SpawnedGateway) -> None:
    """Requests have answers of two tokens until that is expected."""

    def answer() -> float:
        with httpx2.Client(base_url=gateway.url, timeout=PATIENCE) as http:
            assert {ask(http, named(PROMPT)).status for _ in range(16)} == {200}
        return expected(gateway)

    wait_until(answer, lambda taken: taken < SHORT)


def events(gateway: SpawnedGateway) -> list[str]:
    told = [json.loads(line)["event"] for line in gateway.errors.read_text().splitlines()]
    return [event for event in told if event.startswith("costs")]


def test_a_new_process_expects_answers_to_be_as_they_were(fleet: SpawnedFleet, tmp_path: Path) -> None:
    for replica in fleet.replicas:
        replica.reset()
    with started(fleet, tmp_path) as gateway:
        assert expected(gateway) > SHORT + 128, "as long as any"
        teach(gateway)
    with started(fleet, tmp_path) as gateway:
        assert expected(gateway) < SHORT
    assert events(gateway) == ["costs recalled"]


@pytest.mark.parametrize("damage", ["", '{"form": 0, "versions": {}}'], ids=["empty", "of another release"])
def test_a_file_that_is_no_use_keeps_no_process_from_starting(fleet: SpawnedFleet, tmp_path: Path, damage: str) -> None:
    for replica in fleet.replicas:
        replica.reset()
    (tmp_path / "costs.json").write_text(damage)
    with started(fleet, tmp_path) as gateway:
        teach(gateway)
    assert events(gateway) == ["costs left aside"]
    with started(fleet, tmp_path) as gateway:
        assert expected(gateway) < SHORT
    assert events(gateway) == ["costs recalled"]
