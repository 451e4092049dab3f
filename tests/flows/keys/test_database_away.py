"""The database stops, freezes and comes back under load: known keys notice nothing, others are told to come back."""

from __future__ import annotations

import signal
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import httpx2
import pytest

from security.keys import NewKey
from tests.flows.keys.conftest import VARIABLE, Spawn
from tests.support import plain
from tests.support.databases import PostgresServer
from tests.support.gateway import SpawnedGateway, metric
from tests.support.knocking import ask, code
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until


@pytest.fixture
def remote(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> KeyBook:
    url = postgres.database()
    monkeypatch.setenv(VARIABLE, url)
    book = KeyBook(url)
    book.tenant()
    return book


def page(gateway: SpawnedGateway, path: str) -> httpx2.Response:
    return plain.get(gateway.ops_url + path)


def readiness(gateway: SpawnedGateway) -> str:
    with suppress(httpx2.TransportError):
        return page(gateway, "/readyz").text
    return "not even that"


@contextmanager
def load(url: str, key: NewKey) -> Iterator[Counter[int]]:
    """One request after the other with a key, in the background, by status."""
    statuses: Counter[int] = Counter()
    over = threading.Event()

    def run() -> None:
        while not over.wait(0.01):
            statuses[ask(url, key).status_code] += 1

    thread = threading.Thread(target=run)
    thread.start()
    try:
        yield statuses
    finally:
        over.set()
        thread.join()


@pytest.mark.parametrize("way", ["stopped", "frozen"])
def test_gone_and_back_under_load(postgres: PostgresServer, remote: KeyBook, spawn: Spawn, way: str) -> None:
    known, unknown = remote.key(), remote.key()
    gateway = spawn(remote, "one")
    assert ask(gateway.url, known).status_code == 200
    with load(gateway.url, known) as statuses:
        postgres.stop() if way == "stopped" else postgres.freeze()
        wait_until(lambda: metric(page(gateway, "/metrics").text, "snowshed_key_store_up") == 0)
        ready = page(gateway, "/readyz")
        assert ready.status_code == 200
        assert "the database can't be asked" in ready.json()["warnings"][0]
        refused = ask(gateway.url, unknown)
        assert code(refused) == (503, "keys_unavailable")
        assert int(refused.headers["retry-after"]) >= 1
        assert code(ask(gateway.url, "sk-wrong")) == (401, "invalid_api_key")

        postgres.start() if way == "stopped" else postgres.thaw()
        wait_until(lambda: ask(gateway.url, unknown).status_code == 200)
        assert page(gateway, "/readyz").json()["warnings"] == []
    assert statuses.keys() == {200}


def test_a_revocation_while_away_is_learned_at_the_return(
    postgres: PostgresServer, remote: KeyBook, spawn: Spawn
) -> None:
    key = remote.key()
    gateway = spawn(remote, "one")
    assert ask(gateway.url, key).status_code == 200
    postgres.stop()
    wait_until(lambda: page(gateway, "/readyz").json()["warnings"])
    postgres.start()
    remote.revoke(key)
    wait_until(lambda: code(ask(gateway.url, key)) == (401, "invalid_api_key"))


def test_the_grace_ends(postgres: PostgresServer, remote: KeyBook, spawn: Spawn) -> None:
    key = remote.key()
    gateway = spawn(remote, "one", grace="3s")
    assert ask(gateway.url, key).status_code == 200
    postgres.stop(signal.SIGKILL)
    wait_until(lambda: code(ask(gateway.url, key)) == (503, "keys_unavailable"))
    wait_until(lambda: page(gateway, "/readyz").status_code == 503)


def test_started_before_its_database(postgres: PostgresServer, remote: KeyBook, spawn: Spawn) -> None:
    key = remote.key()
    postgres.stop()
    gateway = spawn(remote, "one", ready=False)
    wait_until(lambda: "the database can't be asked" in readiness(gateway))
    assert code(ask(gateway.url, key)) == (503, "keys_unavailable")
    postgres.start()
    wait_until(lambda: ask(gateway.url, key).status_code == 200)
    wait_until(lambda: page(gateway, "/readyz").status_code == 200)


def test_a_silent_database_does_not_keep_the_gateway_from_stopping(
    postgres: PostgresServer, remote: KeyBook, spawn: Spawn
) -> None:
    gateway = spawn(remote, "one")
    assert ask(gateway.url, remote.key()).status_code == 200
    postgres.freeze()
    gateway.terminate()
    assert gateway.wait(30) == 0
