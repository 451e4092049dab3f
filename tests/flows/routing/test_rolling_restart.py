"""Three replicas are restarted one after the other under streams: no request fails, and no stream is cut."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from loadtests.prove.traffic import WHOLE, Traffic, traffic
from router.api import Replica
from tests.support.fleet import SpawnedReplica
from tests.support.trio import Trio
from tests.support.waiting import until, wait_until

RATE = 20.0
DOWN = 0.5
"""Seconds between a server's end and its new beginning."""


@asynccontextmanager
async def streaming(trio: Trio) -> AsyncIterator[Traffic]:
    """Streams of half a second each, until the block is left."""
    trio.set(tokens=25, delay_ms=20)
    over = False
    with traffic(trio.port, "mock", stream=True, tokens=25) as clients:
        task = asyncio.create_task(clients.trickle(RATE, 120, lambda: over))
        try:
            yield clients
        finally:
            over = True
            await task


async def busy(replica: Replica) -> None:
    """Until it has streams whose beginning the client has seen."""
    await until(lambda: sum(sent < 0 for sent in list(replica.active.values())) >= 2)


async def answers(clients: Traffic, more: int) -> None:
    enough = len(clients.told) + more
    await until(lambda: len(clients.told) >= enough)


async def restart(server: SpawnedReplica) -> None:
    """It is gone for a while; whatever was still with it is lost."""
    server.listen("refused", drop=True)
    await asyncio.sleep(DOWN)  # time in which requests come
    server.listen("open")


async def restart_as_servers_do(server: SpawnedReplica) -> None:
    """On SIGTERM: no new connections, an end to each present one behind its answer, and then the process ends."""
    server.listen("refused")
    server.set(fault="close_idle")
    await asyncio.to_thread(wait_until, lambda: server.stats()["open_connections"] == 0)
    await restart(server)
    server.set(fault="")


async def restart_drained(trio: Trio, replica: Replica, server: SpawnedReplica) -> None:
    """By hand: the gateway sends nothing there any more, and what is there ends."""
    upstreams = trio.gateway.objects.upstreams
    trio.gateway.run(lambda: upstreams.drain(replica.name))
    await until(lambda: replica.in_flight == 0)
    before = replica.calls
    await restart(server)
    assert replica.calls == before
    trio.gateway.run(lambda: upstreams.undrain(replica.name))


async def test_servers_that_drain_themselves_are_restarted_and_no_caller_notices(trio: Trio) -> None:
    async with streaming(trio) as clients:
        for replica, server in trio.pairs():
            await busy(replica)
            await restart_as_servers_do(server)
            await answers(clients, 20)
    assert clients.endings == {WHOLE}


async def test_replicas_that_are_drained_first_are_restarted_without_one_call_in_vain(trio: Trio) -> None:
    async with streaming(trio) as clients:
        for replica, server in trio.pairs():
            await busy(replica)
            await restart_drained(trio, replica, server)
            await busy(replica)
    assert clients.endings == {WHOLE}
    assert trio.shown("failovers_total") == 0
    assert sum(replica.calls for replica in trio.replicas) == len(clients.told)
