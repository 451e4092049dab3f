"""A gateway with keys in either kind of database, and an open admin listener."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.reloading import Source
from security.api import SCOPES
from security.keys import NewKey
from tests.flows.keys.conftest import MODELS, VARIABLE, auth
from tests.support.admin import admin_port, visiting
from tests.support.databases import sqlite
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.knocking import ask
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until


@dataclass(slots=True)
class Administration:
    """`keys` by their highest scope; all are of the tenant `acme`."""

    gateway: RunningGateway
    book: KeyBook
    port: int
    keys: dict[str, NewKey]
    stack: ExitStack

    def client(self, role: str | None = "admin") -> httpx2.Client:
        """Of the key with this role; None: without one."""
        return self.stack.enter_context(visiting(self.port, self.keys[role] if role else None))


def admin_tree(url: str, **admin: Any) -> dict[str, Any]:
    """A configuration whose keys are in that database."""
    return configuration(models=MODELS, auth=auth(url), admin={"port": 0, "rate": 1_000_000, **admin})


@pytest.fixture
def book(tmp_path: Path) -> KeyBook:
    """In a file."""
    return KeyBook(sqlite(tmp_path))


@pytest.fixture
def admin(book: KeyBook) -> Iterator[Administration]:
    with administration(book) as opened:
        yield opened


@pytest.fixture(scope="module")
def lasting_admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administration]:
    """For tests that change nothing."""
    with administration(KeyBook(sqlite(tmp_path_factory.mktemp("book")))) as opened:
        yield opened


@pytest.fixture
def shared_admin(database: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Administration]:
    """Over either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    with administration(KeyBook(database)) as opened:
        yield opened


@contextmanager
def administration(
    book: KeyBook, models: Any = MODELS, routing: Any = (), source: Source | None = None, quotas: Any = None,
    **options: Any,
) -> Iterator[Administration]:  # fmt: skip
    """For the length of a block; `options` are the listener's."""
    if "acme" not in {tenant.name for tenant in book.do(lambda registry: registry.tenants())}:
        book.tenant()
    keys = {role: book.key(label=role, scopes=[role]) for role in SCOPES}
    tree = {**admin_tree(book.url, **options), "models": models, "routing": list(routing), "quotas": quotas or {}}
    with running_gateway(tree, source=source) as gateway, ExitStack() as stack:
        yield Administration(gateway, book, admin_port(gateway), keys, stack)


def ended_request(admin: Administration) -> str:
    """The id of one that is known by now."""
    request_id = ask(admin.gateway.url, admin.keys["inference"]).headers["x-request-id"]
    client = admin.client("viewer")
    wait_until(lambda: client.get(f"/v1/requests/{request_id}").status_code, lambda status: status == 200)
    return request_id
