"""What is written down of a budget: read where nothing is counted of it yet, once for all who ask at a time."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import NamedTuple

from security.limits.api import SECOND, LimitsAway
from security.limits.budget import Budget, Ledger
from security.limits.limiter import AWAY


class Reading(NamedTuple):
    """Millionths that were spent, and the time of asking (Unix, in microseconds): what ends later is not among them."""

    spent: int
    at: int


async def unknown(_budget: Budget) -> int:
    """A ledger where there is none."""
    raise LimitsAway(AWAY)


class Readings:
    """Of `ledger`; `wall` gives Unix time."""

    def __init__(self, ledger: Ledger, wall: Callable[[], float]) -> None:
        self._ledger = ledger
        self._wall = wall
        self._under_way: dict[str, asyncio.Task[Reading]] = {}

    def __repr__(self) -> str:
        return f"<Readings, {len(self._under_way)} under way>"

    def now(self) -> int:
        return round(self._wall() * SECOND)

    async def of(self, budget: Budget) -> Reading:
        """Raises LimitsAway. Whoever leaves meanwhile takes it from nobody else."""
        task = self._under_way.get(budget.key)
        if task is None:
            task = self._under_way[budget.key] = asyncio.create_task(self._read(budget))
            task.add_done_callback(self._done(budget.key))
        return await asyncio.shield(task)

    async def _read(self, budget: Budget) -> Reading:
        at = self.now()
        return Reading(await self._ledger(budget), at)

    def _done(self, name: str) -> Callable[[asyncio.Task[Reading]], None]:
        def forget(task: asyncio.Task[Reading]) -> None:
            del self._under_way[name]
            if not task.cancelled():
                task.exception()  # which nobody may be left to hear of

        return forget
