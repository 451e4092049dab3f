"""Hedges over sockets: whose first replica is silent gets another one's answer, and the silent one is told to stop."""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from loadtests.prove.answers import Answer
from router.hedging import FLOOR, SHARE
from router.retries import RetryBudget
from tests.support import plain
from tests.support.asking import ask, body, request_bytes, text
from tests.support.databases import sqlite
from tests.support.fleet import LoggedCall, SpawnedFleet, SpawnedReplica, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, metric, running_gateway
from tests.support.stored import KeyBook
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.waiting import wait_until
from tests.support.written import written

AFTER = 0.2
LATE_MS = AFTER * 1000 + 2000
"""Long after a hedge is due, even where the gateway is held up for a second before it looks."""
TOKENS = 6
ENGINES = ("openai", "triton")


@dataclass(slots=True)
class Stand:
    """`mock` over two replicas, in turn; `first` is whose turn it is."""

    fleet: SpawnedFleet
    gateway: RunningGateway
    http: httpx2.Client
    keys: dict[str, str]
    log: Path

    @property
    def first(self) -> SpawnedReplica:
        return self.fleet.replicas[0]

    @property
    def second(self) -> SpawnedReplica:
        return self.fleet.replicas[1]

    def headers(self, who: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.keys[who]}"}

    def ask(self, who: str = "urgent", **members: Any) -> Answer:
        return ask(self.http, body(stream=True) | members, self.headers(who))

    def outcomes(self) -> dict[str, float]:
        shown = plain.get(f"{self.gateway.ops_url}/metrics").text
        names = ("won", "lost", "failed", "cancelled", "withheld")
        return {name: metric(shown, "snowshed_hedges_total", model="mock", outcome=name) for name in names}

    def record(self, answer: Answer) -> dict[str, Any]:
        """The line of a request that was answered."""

        def lines() -> list[dict[str, Any]]:
            return [line for line in written(self.log) if line["id"] == answer.headers["x-request-id"]]

        return wait_until(lines)[0]


@pytest.fixture(scope="module", params=ENGINES)
def running(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    folder = tmp_path_factory.mktemp("hedging")
    book, log = KeyBook(sqlite(folder)), folder / "records.jsonl"
    keys = {}
    for who, priority in (("urgent", 1), ("patient", 0)):
        book.tenant(who, priority=priority)
        keys[who] = book.key(who).text
    with log.open("ab") as file, spawn_fleet(2, f"tokens={TOKENS}", contract="llmapi") as fleet:
        tree = configuration(
            models=[{"name": "mock", "policy": "round_robin", **_replicas(request.param, fleet, folder)}],
            routing=[{"model": "mock", "hedge": {"after": AFTER}}],
            auth={"kind": "keys", "sqlite": book.url.removeprefix("sqlite:///")},
            admin={"port": 0},
        )
        with running_gateway(tree, log_fd=file.fileno()) as gateway, gateway.client() as http:
            yield Stand(fleet, gateway, http, keys, log)


def _replicas(engine: str, fleet: SpawnedFleet, folder: Path) -> dict[str, Any]:
    if engine == "openai":
        return {"engine": "openai", "replicas": [{"url": url} for url in fleet.urls]}
    tokenizer = str(write_tiny_tokenizer(folder / "tokenizer"))
    options = {"model": "tensorrt_llm", "tokenizer": tokenizer}
    return {"engine": "triton", "replicas": [{"url": target, **options} for target in fleet.targets]}


@pytest.fixture
def stand(running: Stand) -> Iterator[Stand]:
    for replica in running.fleet.replicas:
        replica.reset()
    running.gateway.run(lambda: _begin_anew(running.gateway))
    yield running
    running.gateway.wait_idle()


def _begin_anew(gateway: RunningGateway) -> None:
    """It is the first replica's turn, and no hedge is spent."""
    gateway.forgive()
    (model,) = gateway.objects.catalog
    assert model.only is not None
    policy: Any = model.only.pool.policy
    policy._turns.clear()
    accounts = gateway.objects.upstreams._pools.asides._accounts
    accounts["mock"].budget = RetryBudget(time.monotonic, SHARE, floor=FLOOR)


def grown(stand: Stand, before: dict[str, float]) -> dict[str, float]:
    return {name: value - before[name] for name, value in stand.outcomes().items() if value != before[name]}


def ended(calls: Sequence[LoggedCall]) -> bool:
    return len(calls) == 1 and calls[0].end is not None


def test_the_other_replicas_content_counts_and_the_silent_one_is_told_to_stop(stand: Stand) -> None:
    stand.first.set(ttft_ms=60_000)
    before = stand.outcomes()
    began = time.monotonic()
    answer = stand.ask()
    assert AFTER <= time.monotonic() - began < AFTER + 5
    assert (answer.status, answer.text, answer.done) == (200, text(TOKENS), True)
    (silent,), (hedge,) = stand.first.wait_for(ended), stand.second.wait_for(ended)
    assert (silent.outcome, silent.tokens, hedge.outcome) == ("cancelled", 0, "finished")
    assert grown(stand, before) == {"won": 1}
    record = stand.record(answer)
    assert (record["attempts"], record["completion_tokens"], record["outcome"]) == (2, TOKENS, "success")
    assert stand.first.stats()["running"] == 0


def test_the_first_ones_content_counts_if_it_comes_sooner(stand: Stand) -> None:
    stand.first.set(ttft_ms=LATE_MS)
    stand.second.set(ttft_ms=60_000)
    before = stand.outcomes()
    answer = stand.ask()
    assert (answer.text, answer.done) == (text(TOKENS), True)
    (first,), (hedge,) = stand.first.wait_for(ended), stand.second.wait_for(ended)
    assert (first.outcome, hedge.outcome) == ("finished", "cancelled")
    assert grown(stand, before) == {"lost": 1}


def test_who_has_no_priority_waits(stand: Stand) -> None:
    stand.first.set(ttft_ms=AFTER * 1000 + 300)
    before = stand.outcomes()
    assert stand.ask("patient").text == text(TOKENS)
    assert (stand.second.stats()["started"], grown(stand, before)) == (0, {})


def test_a_whole_answer_is_not_hedged(stand: Stand) -> None:
    stand.first.set(service_ms=AFTER * 1000 + 300, ttft_ms=AFTER * 1000 + 300)
    before = stand.outcomes()
    assert stand.ask(stream=False).text == text(TOKENS)
    assert (stand.second.stats()["started"], grown(stand, before)) == (0, {})


def test_who_answers_in_time_is_not_hedged(stand: Stand) -> None:
    before = stand.outcomes()
    assert all(stand.ask().text == text(TOKENS) for _ in range(4))
    assert sum(int(replica.stats()["started"]) for replica in stand.fleet.replicas) == 4
    assert grown(stand, before) == {}


def test_slow_replicas_get_no_more_hedges_than_the_budget_has(stand: Stand) -> None:
    for replica in stand.fleet.replicas:
        replica.set(ttft_ms=LATE_MS)
    before = stand.outcomes()
    assert all(stand.ask().text == text(TOKENS) for _ in range(3))
    assert sum(int(replica.stats()["started"]) for replica in stand.fleet.replicas) == 4
    assert grown(stand, before)["withheld"] == 2


def test_a_hedge_that_fails_does_no_harm(stand: Stand) -> None:
    stand.first.set(ttft_ms=LATE_MS)
    stand.second.set(fault="reset")
    before = stand.outcomes()
    assert stand.ask().text == text(TOKENS)
    hedge = stand.second.wait_for(lambda calls: bool(calls) and all(call.end for call in calls))
    assert {call.outcome for call in hedge} == {"fault"}
    assert grown(stand, before) == {"failed": 1}


def test_a_client_who_leaves_cancels_both(stand: Stand) -> None:
    for replica in stand.fleet.replicas:
        replica.set(ttft_ms=60_000)
    before = stand.outcomes()
    with stand.gateway.connect() as client:
        client.sendall(request_bytes(body(stream=True), stand.headers("urgent")))
        for replica in stand.fleet.replicas:
            replica.wait_for(lambda calls: len(calls) == 1)
    for replica in stand.fleet.replicas:
        (call,) = replica.wait_for(ended)
        assert call.outcome == "cancelled"
    wait_until(lambda: grown(stand, before), lambda found: found == {"cancelled": 1})
