"""The model server behind the gateways that limit their callers; two gateways that count in one store."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.flows.keys.conftest import auth
from tests.support.balancer import Pair, paired_gateways
from tests.support.databases import sqlite
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import configuration
from tests.support.knocking import headers
from tests.support.stored import KeyBook

VARIABLE = "LIMITS_STORE"
"""Of the environment: where the store is."""
STORE = {"store": {"env": VARIABLE}}


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    """One, whose answers are two tokens long unless it is told otherwise."""
    with spawn_fleet(1, "tokens=2") as running:
        yield running


@contextmanager
def two_gateways(fleet: SpawnedFleet, folder: Path, *plans: dict[str, Any]) -> Iterator[tuple[Pair, dict[str, Any]]]:
    """And what a key of theirs is sent as."""
    book = KeyBook(sqlite(folder))
    book.tenant()
    key = book.key()
    fleet.replicas[0].reset()
    tree = configuration(fleet.urls, auth=auth(book.url), admin={"port": 0}, quotas={"plans": list(plans), **STORE})
    with paired_gateways(tree, folder) as pair:
        yield pair, dict(headers(key))
