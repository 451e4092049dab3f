"""What nobody waits for takes no place from those who wait: copies for a shadow, and hedges."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support import plain
from tests.support.asking import request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.queueing import HOLDER, LONG, Queueing, named, names, queueing, served
from tests.support.raw import RawClient
from tests.support.waiting import wait_until

ROOMY = {"requests": 8, "kv_tokens": 1000}


def counted(place: Queueing, name: str, **labels: str) -> float:
    return metric(plain.get(f"{place.gateway.ops_url}/metrics").text, name, **labels)


def copies(place: Queueing, outcome: str) -> float:
    return counted(place, "snowshed_shadow_total", outcome=outcome)


@pytest.fixture
def shadowed(pair: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    """Version 2, on the second server, gets a copy of what version 1 is asked; 1000 tokens are its room."""
    models = [
        served(pair.urls[:1], 8, version="1"),
        served(pair.urls[1:], None, version="2", weight=0, limits=ROOMY),
    ]
    routing = [{"model": "mock", "shadow": {"version": "2", "share": 1, "concurrency": 8}}]
    with queueing(pair, tmp_path, *models, routing=routing) as place:
        yield place


def second(place: Queueing) -> Any:
    return place.gateway.objects.catalog.snapshot.models["mock"].versions["2"].admission


def test_a_copy_takes_no_place_while_others_wait_for_one_that_suits_them(
    shadowed: Queueing, pair: SpawnedFleet
) -> None:
    """There is room for a copy, though not for the one that waits: it would only wait for longer."""
    assert shadowed.ask(named("before", max_tokens=100)).told == (200, "")
    wait_until(lambda: copies(shadowed, "answered") == 1)
    admission = second(shadowed)
    with RawClient(shadowed.gateway.url) as holder:
        holder.socket.sendall(request_bytes(named(HOLDER, LONG, model="mock@2", max_tokens=100)))
        shadowed.gateway.wait_until(lambda: len(admission.pool.replicas[0].active) == 1)
        big = shadowed.asking(named("big", model="mock@2", user="x" * 3600, max_tokens=16))
        shadowed.gateway.wait_until(lambda: len(admission.queue) == 1)
        for _ in range(5):
            assert shadowed.ask(named("small", max_tokens=16)).told == (200, "")
        wait_until(lambda: copies(shadowed, "dropped") == 5)
    assert big.result().told == (200, "")
    assert names(pair.replicas[1].calls()) == ["before", HOLDER, "big"]
    assert shadowed.ask(named("after", max_tokens=16)).told == (200, "")
    wait_until(lambda: copies(shadowed, "answered") == 2)


def test_copies_leave_the_part_of_a_limit_that_is_kept_for_others(pair: SpawnedFleet, tmp_path: Path) -> None:
    """Of twenty places they get as many as the lowest class."""
    models = served(pair.urls[:1], 64, version="1"), served(pair.urls[1:], 20, version="2", weight=0)
    routing = [{"model": "mock", "shadow": {"version": "2", "share": 1, "concurrency": 30}}]
    with queueing(pair, tmp_path, *models, routing=routing) as place:
        pair.replicas[1].set(slots=64, service_ms=60_000)
        for _ in range(25):
            assert place.ask(named("small")).told == (200, "")
        wait_until(lambda: (copies(place, "dropped"), pair.replicas[1].stats()["running"]), (8, 17).__eq__)
        place.gateway.run(place.gateway.objects.upstreams._pools.asides.close)


AFTER = 2.0
"""Seconds of silence after which a request is hedged: enough for another to line up meanwhile."""


@pytest.fixture
def hedged(pair: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    tenants = {"urgent": {"priority": 1}, "usual": {}}
    routing = [{"model": "mock", "hedge": {"after": AFTER}}]
    with queueing(pair, tmp_path, served(pair.urls, None, limits=ROOMY), tenants=tenants, routing=routing) as place:
        for replica in pair.replicas:
            replica.set(slots=8)
        yield place


def hedges(place: Queueing, outcome: str) -> float:
    return counted(place, "snowshed_hedges_total", outcome=outcome)


def test_where_nobody_waits_a_hedge_gets_the_place_that_there_is(hedged: Queueing) -> None:
    silent = hedged.asking(named("silent", "ttft_ms=6000", stream=True, max_tokens=100), "urgent")
    assert silent.result().told == (200, "")
    assert names(hedged.asked()) == ["silent"] * 2


@pytest.mark.parametrize("waits", ["usual", "urgent"])
def test_a_hedge_takes_no_place_while_others_wait_for_one_that_suits_them(
    hedged: Queueing, pair: SpawnedFleet, waits: str
) -> None:
    with hedged.holding(who="usual", max_tokens=100):
        silent = hedged.asking(named("silent", "ttft_ms=4000", stream=True, max_tokens=100), "urgent")
        wait_until(lambda: hedged.in_flight == 2)
        big = hedged.lining_up(named("big", user="x" * 3600, max_tokens=16), waits)
        wait_until(lambda: hedges(hedged, "withheld") == 1)
        assert silent.result().told == (200, "")
    assert big.result().told == (200, "")
    assert sorted(names(hedged.asked())) == ["big", "silent"]


def test_a_request_that_its_caller_calls_batch_is_not_hedged(hedged: Queueing) -> None:
    wanted = named("silent", "ttft_ms=3000", stream=True, max_tokens=100)
    assert hedged.ask(wanted, "urgent", x_priority="batch").told == (200, "")
    assert names(hedged.asked()) == ["silent"]
