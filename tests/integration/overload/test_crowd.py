"""Clients of an overloaded server, over sockets: they lose patience, come back or do not, and share connections."""

from __future__ import annotations

import asyncio
import time
from itertools import pairwise

import pytest

from loadtests.bench import bodies
from loadtests.bench.processes import free_ports
from loadtests.fleet import Fleet, Replica, Settings
from loadtests.overload.crowd import Crowd
from loadtests.overload.plan import Attempt, Phase, Plan, Retries, Source
from tests.support.waiting import PATIENCE


async def crowded(
    port: int, phase: Phase, retries: Retries | None = None, *, patience: float = PATIENCE
) -> list[Attempt]:
    source = Source("all", [phase], bodies.chat().decode(), retries=retries)
    crowd = Crowd(Plan(port, [source], patience=patience), time.monotonic())
    async with asyncio.timeout(PATIENCE):
        await crowd.over
    return crowd.attempts


def port_of(replica: Replica) -> int:
    return replica.listener.port


async def test_all_are_answered_where_there_is_room() -> None:
    async with Fleet(1, Settings(tokens=4)) as fleet:
        attempts = await crowded(port_of(fleet.replicas[0]), Phase(0.5, 400))
        assert [(one.ending, one.status) for one in attempts] == [("answered", 200)] * 200
        assert all(one.at <= one.begun <= one.sent <= one.ended for one in attempts)


async def test_who_loses_patience_leaves_and_the_server_sees_it() -> None:
    async with Fleet(1, Settings(service_ms=60_000)) as fleet:
        attempts = await crowded(port_of(fleet.replicas[0]), Phase(0.1, 100), patience=0.2)
        assert {one.ending for one in attempts} == {"left"}
        assert all(one.took >= 0.2 for one in attempts)
        calls = await fleet.replicas[0].wait_for(lambda calls: all(call.outcome for call in calls))
        assert {call.outcome for call in calls} == {"cancelled"}


@pytest.mark.parametrize(("deaf", "wait"), [(1.0, 0.0), (0.0, 0.25)])
async def test_refused_clients_come_back_at_once_or_when_they_were_told(deaf: float, wait: float) -> None:
    async with Fleet(1, Settings(fault="status", status=503, retry_after="0.25")) as fleet:
        attempts = await crowded(port_of(fleet.replicas[0]), Phase(0.1, 10), Retries(2, deaf))
        assert fleet.replicas[0].stats()["open_connections"] == 1
    assert [one.retry for one in attempts] == [0, 1, 2]
    assert {one.retry_after for one in attempts} == {0.25}
    pauses = [later.at - earlier.ended for earlier, later in pairwise(attempts)]
    assert pauses == pytest.approx([wait, wait])


async def test_who_was_answered_does_not_come_back() -> None:
    async with Fleet(1) as fleet:
        attempts = await crowded(port_of(fleet.replicas[0]), Phase(0.1, 100), Retries())
        assert len(attempts) == 10


async def test_who_finds_nobody_is_lost_and_comes_back() -> None:
    attempts = await crowded(free_ports(1)[0], Phase(0.1, 10), Retries(1))
    assert [one.ending for one in attempts] == ["lost", "lost"]
