"""Gateways that ask for keys, and the book in which those are."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.databases import sqlite
from tests.support.gateway import RunningGateway, SpawnedGateway, configuration, running_gateway, spawned_gateway
from tests.support.stored import KeyBook

VARIABLE = "KEYS_DATABASE"


def auth(url: str, **options: Any) -> dict[str, Any]:
    """The section that a gateway needs to use that database."""
    if url.startswith("sqlite"):
        return {"kind": "keys", "sqlite": url.removeprefix("sqlite:///"), **options}
    return {"kind": "keys", "database": {"env": VARIABLE}, **options}


@pytest.fixture
def book(tmp_path: Path) -> KeyBook:
    """In a file."""
    return KeyBook(sqlite(tmp_path))


@pytest.fixture
def shared(database: str, monkeypatch: pytest.MonkeyPatch) -> KeyBook:
    """In either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    return KeyBook(database)


MODELS = [{"name": name, "engine": "scripted"} for name in ("mock", "other")]


@pytest.fixture
def gateway(book: KeyBook) -> Iterator[RunningGateway]:
    with running_gateway(configuration(models=MODELS, auth=auth(book.url))) as gateway:
        yield gateway


Spawn = Callable[..., SpawnedGateway]


@pytest.fixture
def spawn(tmp_path: Path) -> Iterator[Spawn]:
    """Starts processes that ask for the keys of a book."""
    with ExitStack() as stack:

        def start(book: KeyBook, name: str, ready: bool = True, **options: Any) -> SpawnedGateway:
            folder = tmp_path / name
            folder.mkdir()
            tree = configuration(models=MODELS, auth=auth(book.url, **options))
            return stack.enter_context(spawned_gateway(tree, folder, ready))

        yield start
