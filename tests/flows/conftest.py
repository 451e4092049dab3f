"""Two gateways behind a balancer, for what must hold of both together."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.balancer import Pair, paired_gateways
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import configuration


@pytest.fixture
def pair_upstream() -> Iterator[SpawnedFleet]:
    with spawn_fleet() as running:
        yield running


@pytest.fixture
def two_gateways(pair_upstream: SpawnedFleet, tmp_path: Path) -> Iterator[Pair]:
    """Over one simulated model server, whose model is `mock`."""
    with paired_gateways(configuration(pair_upstream.urls), tmp_path) as pair:
        yield pair
