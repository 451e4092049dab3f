"""An admission in virtual time, with replicas of few places, and those who wait for one."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from engines.api import Capacity
from router.admission import Admission
from router.api import NO_AFFINITY, Rank, Replica, Shed
from router.fair_queue import Bounds
from router.pool import Pool
from router.ticket import Terms
from tests.support.choosing import SaysLoad
from tests.support.gates import Noted
from tests.support.pools import LightestFirst
from tests.support.waiting import settle

WITHIN = (1.0, 2.0, 10.0)
NEVER = 1e9


class Stage:
    """Replicas of so many places behind an admission; everything takes place at `now`."""

    def __init__(self, replicas: int = 1, bounds: Bounds | None = None, **capacity: int) -> None:
        self.now = 1000.0
        self.replicas = [Replica(f"r{number}", SaysLoad()) for number in range(replicas)]
        self.pool = Pool("m@1", (), LightestFirst(), lambda: self.now, Random(1))
        self.pool.capacity = Capacity(**{"requests": 1, **capacity})
        self.pressed: set[Admission] = set()
        terms = Terms(bounds or Bounds(), WITHIN)
        self.admission = Admission(self.pool, terms, lambda: self.now, Random(1), self.pressed)
        self.admission.replace(self.replicas, terms)

    def enter(self, tokens: int = 1, rank: Rank = 1) -> Noted:
        """A place, at once."""
        notes = Noted(tokens, rank=rank)
        assert self.admission.enter(notes, NO_AFFINITY) is not None
        return notes

    async def wait(self, notes: Noted | None = None, deadline: float = NEVER) -> asyncio.Task[Replica]:
        """In the queue, or beyond it already."""
        turn = self.admission.turn(notes or Noted(), NO_AFFINITY, deadline)
        task = asyncio.get_running_loop().create_task(turn)
        await settle()
        return task

    async def leave(self, notes: Noted, error: BaseException | None = None, replica: int = 0) -> None:
        self.pool.left(self.replicas[replica], notes, error)
        await settle()

    async def rest(self, seconds: float) -> None:
        self.now += seconds
        self.admission.refresh()
        await settle()

    async def learn(self, held: float) -> None:
        """From one that had its place for so many seconds."""
        notes = self.enter()
        self.now += held
        await self.leave(notes)
        await self.rest(0.0)

    @property
    def kept(self) -> Replica | None:
        """What is kept free."""
        return self.pool.reserved

    @property
    def waiting(self) -> int:
        return len(self.admission.queue)


async def refused(task: asyncio.Task[Replica]) -> Shed:
    with pytest.raises(Shed) as told:
        await task
    return told.value
