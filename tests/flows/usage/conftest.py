"""Two gateways that keep one ledger, over one simulated model server; and the ledger as it is read."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import httpx2
import pytest

from gateway.store.spending import FIELDS, Seen, Sum, Wanted
from loadtests.prove.answers import answer_of
from security.keys import NewKey
from tests.flows.keys.conftest import VARIABLE, auth
from tests.support.asking import body
from tests.support.balancer import Pair
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import configuration
from tests.support.knocking import headers
from tests.support.stored import KeyBook

PRICES = [{"model": "mock", "input": "0.50", "output": "1.5"}]


@pytest.fixture
def upstream() -> Iterator[SpawnedFleet]:
    with spawn_fleet() as running:
        yield running


@pytest.fixture
def shared(database: str, monkeypatch: pytest.MonkeyPatch) -> KeyBook:
    """In either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    return KeyBook(database)


def ledger_tree(book: KeyBook, upstream: SpawnedFleet, every: str = "100ms") -> dict[str, Any]:
    ledger = {"every": every, "prices": PRICES}
    return configuration(upstream.urls, auth=auth(book.url), admin={"port": 0}, ledger=ledger)


def rows(book: KeyBook) -> list[Seen]:
    return book.do(lambda registry: registry.usage.rows(Wanted(), None, 1_000_000))


def sums(book: KeyBook) -> list[Sum]:
    return book.do(lambda registry: registry.usage.sums(FIELDS, Wanted(), [], 1_000_000))


def ask_whole(client: httpx2.Client, key: NewKey, directive: str = "", *, stream: bool = False) -> str:
    """Gives the request's id, whatever came of it."""
    wanted = body(directive, stream=stream)
    response = client.post("/v1/chat/completions", json=wanted, headers=sent(key))
    answer_of(response.status_code, response.headers, response.content, stream=stream and response.is_success)
    return str(response.headers["x-request-id"])


def leave_early(client: httpx2.Client, key: NewKey, events: int = 3) -> str:
    """A stream of which only the first events are read."""
    wanted = body("tokens=2000,delay_ms=20", stream=True)
    with client.stream("POST", "/v1/chat/completions", json=wanted, headers=sent(key)) as response:
        lines = (line for line in response.iter_lines() if line.startswith("data: "))
        for _ in range(events):
            next(lines)
        return str(response.headers["x-request-id"])


def sent(key: NewKey) -> dict[str, str]:
    return {name: value.decode() for name, value in headers(key).items()}


def from_several(pair: Pair, callers: int, turns: int, ask: Callable[[httpx2.Client, int], str]) -> list[str]:
    """What `ask` gives for each turn; a connection each, so that both gateways get their share."""

    def caller(first: int) -> list[str]:
        with pair.client() as client:
            return [ask(client, turn) for turn in range(first, turns, callers)]

    with ThreadPoolExecutor(callers) as pool:
        return [found for share in pool.map(caller, range(callers)) for found in share]


def ask_until_killed(client: httpx2.Client, key: NewKey) -> Iterator[str]:
    with suppress(httpx2.TransportError):
        while True:
            yield ask_whole(client, key)
