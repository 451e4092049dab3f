"""P09: who is to blame. A replica that fails fast or is silent, callers' mistakes, push-back, and the way back."""

from __future__ import annotations

import asyncio
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from loadtests.prove.traffic import WHOLE, traffic
from tests.support import plain
from tests.support.balancer import paired_gateways
from tests.support.fleet import spawn_fleet
from tests.support.gateway import SpawnedGateway, configuration, metric
from tests.support.standing import changes
from tests.support.trio import Trio
from tests.support.waiting import until

SOON = 3.0
CROWD = 16


@pytest.mark.parametrize(
    "fault",
    [{"fault": "status", "status": 500}, {"fault": "accept_silent"}],
    ids=["fails in a millisecond", "never answers"],
)
async def test_p09_a_replica_that_answers_nobody_touches_one_request_in_a_hundred(
    trio: Trio, fault: dict[str, object]
) -> None:
    """To a balancer by load, who fails at once looks idle, and who is silent looks only a little busy."""
    trio.set(service_ms=20)
    bad, sick = next(trio.pairs())
    heard, began = changes(trio.pool), asyncio.get_running_loop().time()
    sick.set(**fault)
    with traffic(trio.port, "mock") as clients:
        await clients.crowd(2400, CROWD)
    assert clients.endings == {WHOLE}
    assert 1 <= bad.calls <= 24
    assert sick.stats()["started"] == bad.calls
    assert [(change.replica, change.after) for change in heard][:1] == [(bad.name, "ejected")]
    assert heard[0].at - began <= SOON
    assert {change.replica for change in heard} == {bad.name}


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_p09_two_hundred_mistakes_of_one_caller_cost_the_others_nothing(trio: Trio, status: int) -> None:
    heard = changes(trio.pool)
    with traffic(trio.port, "mock") as wrong, traffic(trio.port, "mock") as others:
        async with asyncio.TaskGroup() as group:
            for _ in range(200):
                group.create_task(wrong.ask(f"fault=status,status={status}"))
                await others.ask()
    assert WHOLE not in wrong.endings
    assert others.endings == {WHOLE}
    assert (heard, trio.states()) == ([], ["closed"] * 3)


@pytest.mark.parametrize("status", [429, 503])
async def test_p09_push_back_never_ejects_and_ends_as_soon_as_the_servers_are_idle(trio: Trio, status: int) -> None:
    heard = changes(trio.pool)
    trio.set(fault="status", status=status, retry_after="1")
    with traffic(trio.port, "mock") as clients:

        def whole() -> int:
            return sum(told.ending == WHOLE for told in clients.told)

        busy = asyncio.create_task(clients.trickle(60, 10 * SOON, lambda: whole() >= 45))
        await until(lambda: len(clients.told) >= 45)
        busy_until = asyncio.get_running_loop().time()
        await asyncio.to_thread(trio.set, fault="")
        idle = asyncio.get_running_loop().time()
        await busy
    during = [told for told in clients.told if told.ended < busy_until]
    assert {told.ending for told in during} == {"upstream_overloaded"}
    assert min(told.ended for told in clients.told if told.ending == WHOLE) - idle <= SOON
    assert (heard, trio.states()) == ([], ["closed"] * 3)


async def test_p09_a_replica_that_pushes_back_gets_less_and_soon_its_share_again(trio: Trio) -> None:
    bad, busy = next(trio.pairs())
    heard = changes(trio.pool)
    busy.set(fault="status", status=503)
    with traffic(trio.port, "mock") as clients:
        await clients.trickle(100, 2.0)
        assert 1 <= bad.calls <= 200 / 3 / 3, "of two hundred, it would have had a third"
        busy.set(fault="")
        await until(lambda: trio.pool.replicas[0].weight == 1.0)
        before = bad.calls
        await clients.trickle(100, 2.0)
        assert bad.calls - before >= 200 / 3 / 2
    assert clients.endings == {WHOLE}
    assert heard == []


async def test_p09_half_open_admits_one_probe_and_no_second_one(trio: Trio) -> None:
    """While nobody knows whether it is well, one real request is with it, and all others are elsewhere."""
    bad, sick = next(trio.pairs())
    sick.set(service_ms=1500)  # ten times as long as all others take together
    heard = changes(trio.pool)
    trio.gateway.run(lambda: trio.pool.eject(bad, 0.3))
    with traffic(trio.port, "mock") as clients:
        await until(lambda: bad.breaker.state == "probing")
        await clients.crowd(60, CROWD)
        assert sick.stats()["started"] == bad.calls == 1
        assert [change.after for change in heard] == ["ejected", "probing", "slow_start"]
        assert clients.endings == {WHOLE}


def calls_of(gateway: SpawnedGateway, replica: str) -> float:
    page = plain.get(f"{gateway.ops_url}/metrics").text
    return metric(page, "snowshed_replica_calls_total", replica=replica)


async def test_p09_of_two_gateways_each_judges_by_what_it_sees(tmp_path: Path) -> None:
    """They agree once both have had to do with the faulty replica: within three seconds of traffic of their own."""
    with spawn_fleet(3, "tokens=12") as fleet, paired_gateways(configuration(fleet.urls), tmp_path) as pair:
        fleet.replicas[0].set(fault="status", status=500)
        first, second = pair.gateways
        for gateway in (first, second):
            with traffic(urlsplit(gateway.url).port or 0, "mock") as clients:
                await clients.trickle(200, SOON)  # after its first failure it is drawn for seldom, after two once in 25
                touched = calls_of(gateway, "mock-0")
                await clients.crowd(300, CROWD)
            assert clients.endings == {WHOLE}
            assert 3 <= touched == calls_of(gateway, "mock-0") <= 6
            if gateway is first:
                assert calls_of(second, "mock-0") == 0
