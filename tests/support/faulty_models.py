"""A model per fault, each over three replicas of which the first comes to show it, and what a trickle of requests met.

The two other replicas are the same for all models, but each model has its own thoughts about them.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from statistics import median

from loadtests.prove.faults import Way, model_of
from loadtests.prove.traffic import WHOLE, WRONG, Told, traffic
from router.events import Change
from router.judging import patience
from tests.support.fleet import SpawnedFleet, SpawnedReplica
from tests.support.gateway import RunningGateway
from tests.support.standing import changes, pool_of

USUAL, DENSE = 25.0, 50.0
"""Requests a second to one model; dense enough for three to be with a silent replica at the same time."""
LONGEST = 8.0
"""Seconds after which it is given up to wait for an ejection."""
HARMLESS = 2.0
"""Seconds in which nothing must happen."""
SOON, SLACK = 3.0, 4.0
"""Seconds within which a faulty replica must be left alone; and beyond the patience that a slow machine makes."""


@dataclass(slots=True, frozen=True)
class Seen:
    """What became of the requests, and of the faulty replica's standing and the others'.

    `alone` is the number of seconds after which it was left alone: ejected, or found not ready by a probe.
    """

    way: Way
    told: Sequence[Told]
    calls: int
    alone: float
    faulty: Sequence[Change]
    others: Sequence[Change]

    def check_told(self) -> None:
        """Each request is a success, by fail-over if need be, or an error that says so."""
        fault, stream = self.way
        endings = {each.ending for each in self.told}
        assert WRONG not in endings, endings
        assert endings - {WHOLE} <= fault.tells(stream=stream), endings
        assert self.calls or fault.listener != "open", "the faulty one was asked; else by a probe"
        assert sum(each.ending != WHOLE for each in self.told) <= self.calls, "who was sent elsewhere suffers nothing"

    def check_standing(self) -> None:
        """Who fails is soon left alone; all others are as they were."""
        assert self.others == [], self.others
        if self.way[0].ejects:
            wait = median(told.ended - told.sent for told in self.told)
            assert self.alone <= max(SOON, patience(wait) + SLACK), (self.faulty, wait)
        else:
            assert self.faulty == [], self.faulty


async def seen(gateway: RunningGateway, fleet: SpawnedFleet, ways: Sequence[Way], at_once: float) -> dict[str, Seen]:
    """By model: each is asked until its first replica is left alone, or for as long as it must not be.

    `at_once` is the bound on requests a second, over all models that are tried at the same time.
    """
    replicas = [replica for model in gateway.objects.catalog for replica in model.replicas]
    await asyncio.to_thread(gateway.wait_until, lambda: not any(replica.verdict for replica in replicas))
    free, changed = at_once, asyncio.Condition()

    @asynccontextmanager
    async def share(rate: float) -> AsyncIterator[None]:
        nonlocal free
        async with changed:
            await changed.wait_for(lambda: free >= rate)
            free -= rate
        yield
        async with changed:
            free += rate
            changed.notify_all()

    async def one(way: Way, replica: SpawnedReplica) -> Seen:
        sent = asyncio.Event()
        async with share(DENSE if way[0].silent else USUAL):
            await asyncio.to_thread(way[0].show, replica)
            trying = asyncio.create_task(_tried(gateway, way, sent.set if way[0].silent else lambda: None))
            trying.add_done_callback(lambda _: sent.set())
            await sent.wait()  # those who still wait for a silent replica keep nobody busy
        return await trying

    async with asyncio.TaskGroup() as group:
        pairs = zip(ways, fleet.replicas, strict=False)
        tasks = {model_of(way): group.create_task(one(way, replica)) for way, replica in pairs}
    return {model: task.result() for model, task in tasks.items()}


async def _tried(gateway: RunningGateway, way: Way, sent: Callable[[], None]) -> Seen:
    fault, stream = way
    pool = pool_of(gateway, model_of(way))
    faulty, heard = pool.replicas[0], changes(pool)
    time = asyncio.get_running_loop().time
    began, alone = time(), float("inf")

    def left_alone() -> bool:
        nonlocal alone
        if faulty.trouble:
            alone = min(alone, time() - began)
        return alone <= LONGEST

    with traffic(gateway.port, model_of(way), stream=stream) as clients:
        rate, seconds = DENSE if fault.silent else USUAL, LONGEST if fault.ejects else HARMLESS
        await clients.trickle(rate, seconds, left_alone, sent)
    return Seen(
        way,
        clients.told,
        faulty.calls,
        alone,
        [change for change in heard if change.replica == faulty.name],
        [change for change in heard if change.replica != faulty.name],
    )
