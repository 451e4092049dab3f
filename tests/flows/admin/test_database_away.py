"""The database away: told as 503 with when to come back, never as a crash; the gateway itself goes on."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.admin.conftest import Administration, administration
from tests.flows.admin.routes import ROUTES, Route
from tests.flows.keys.conftest import VARIABLE
from tests.support.databases import PostgresServer
from tests.support.envelopes import enveloped
from tests.support.knocking import ask
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until

STORED = [route for route in ROUTES if route.stored]
SEEN = [route for route in ROUTES if route.method == "GET" and not route.stored and "{" not in route.path]


@pytest.fixture
def served(postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administration]:
    url = postgres.database()
    monkeypatch.setenv(VARIABLE, url)
    monkeypatch.setattr("gateway.store.bounded.PATIENCE", 1.0)
    with administration(KeyBook(url)) as opened:
        for client in (opened.client(), opened.client("inference")):
            client.get("/v1/whoami")  # the keys are known from now on
        yield opened


def everywhere(admin: Administration, routes: list[Route]) -> None:
    client = admin.client()
    for route in routes:
        started = time.monotonic()
        answer = client.request(route.method, route.at(), json=route.body)
        enveloped(answer, 503, "store_unavailable")
        assert 1 <= int(answer.headers["retry-after"]) <= 120
        assert time.monotonic() - started < 10
    for route in SEEN:
        assert client.get(route.path).status_code == 200
    replicas = client.get("/v1/replicas").json()["data"]
    assert not [one for one in replicas if one["drained"] or one["state"] != "closed"], "done without an entry"


def test_a_server_that_is_stopped_and_started_again(served: Administration, postgres: PostgresServer) -> None:
    postgres.stop()
    try:
        everywhere(served, STORED)
        assert ask(served.gateway.url, served.keys["inference"]).status_code == 200
        enveloped(served.client().get("/v1/whoami", headers=unknown()), 503, "keys_unavailable")
    finally:
        postgres.start()
    client = served.client()
    wait_until(lambda: client.get("/v1/tenants").status_code, lambda status: status == 200)
    assert client.post("/v1/tenants", json={"name": "after"}).status_code == 201


def unknown() -> dict[str, str]:
    return {"authorization": f"Bearer sk-snow-{'0' * 12}-{'a' * 40}"}


def test_a_server_that_says_nothing(served: Administration, postgres: PostgresServer) -> None:
    postgres.freeze()
    try:
        everywhere(served, [STORED[0], STORED[-1]])
    finally:
        postgres.thaw()
    client = served.client()
    wait_until(lambda: client.get("/v1/tenants").status_code, lambda status: status == 200)


def test_a_file_that_somebody_else_writes_to(admin: Administration, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not confirmed in time is told as such; reading goes on."""
    client = admin.client()
    writer = sqlite3.connect(admin.book.url.removeprefix("sqlite:///"), isolation_level=None)
    writer.execute("BEGIN IMMEDIATE")
    with monkeypatch.context() as hasty:
        hasty.setattr("gateway.store.bounded.PATIENCE", 0.5)
        enveloped(client.post("/v1/tenants", json={"name": "snow"}), 503, "store_unavailable")
    assert client.get("/v1/tenants").status_code == 200
    writer.execute("ROLLBACK")
    writer.close()
    assert client.post("/v1/tenants", json={"name": "other"}).status_code == 201


def test_a_file_that_is_gone_and_comes_back(admin: Administration) -> None:
    client, file = admin.client(), Path(admin.book.url.removeprefix("sqlite:///"))
    assert client.get("/v1/tenants").status_code == 200
    away = file.rename(file.with_suffix(".away"))
    enveloped(client.get("/v1/tenants"), 503, "store_unavailable")
    assert not file.exists()
    away.rename(file)
    assert client.get("/v1/tenants").status_code == 200
