"""The model server behind the gateways that limit their callers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fleet import SpawnedFleet, spawn_fleet


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    """One, whose answers are two tokens long unless it is told otherwise."""
    with spawn_fleet(1, "tokens=2") as running:
        yield running
