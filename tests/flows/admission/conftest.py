"""Upstreams of few places, and the gateway in front of them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fleet import SpawnedFleet, spawn_fleet


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    """One server."""
    with spawn_fleet(1, "tokens=2") as running:
        yield running


@pytest.fixture(scope="module")
def pair() -> Iterator[SpawnedFleet]:
    """Two servers."""
    with spawn_fleet(2, "tokens=2") as running:
        yield running
