"""What is written down of budgets: read where nothing is counted of them yet, for all who ask at a time together."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from typing import NamedTuple

from security.limits.api import SECOND, LimitsAway
from security.limits.budget import Budget, Ledger
from security.limits.limiter import AWAY

TOGETHER = 100
"""Most budgets of one reading: with a new day, all are read anew."""


class Reading(NamedTuple):
    """Millionths that were spent, and the time of asking (Unix, in microseconds): what ends later is not among them."""

    spent: int
    at: int


async def unknown(_budgets: Sequence[Budget]) -> Sequence[int]:
    """A ledger where there is none."""
    raise LimitsAway(AWAY)


class Readings:
    """Of `ledger`; `wall` gives Unix time."""

    def __init__(self, ledger: Ledger, wall: Callable[[], float]) -> None:
        self._ledger = ledger
        self._wall = wall
        self._answers: dict[str, asyncio.Future[Reading]] = {}
        self._waiting: deque[Budget] = deque()
        self._task: asyncio.Task[None] | None = None

    def __repr__(self) -> str:
        return f"<Readings, {len(self._answers)} under way>"

    def now(self) -> int:
        return round(self._wall() * SECOND)

    async def of(self, budget: Budget) -> Reading:
        """Raises LimitsAway. Whoever leaves meanwhile takes it from nobody else."""
        answer = self._answers.get(budget.key)
        if answer is None:
            answer = self._answers[budget.key] = asyncio.get_running_loop().create_future()
            self._waiting.append(budget)
            if self._task is None:
                self._task = asyncio.create_task(self._read())
        return await asyncio.shield(answer)

    async def _read(self) -> None:
        while self._waiting:
            some = [self._waiting.popleft() for _ in range(min(TOGETHER, len(self._waiting)))]
            answers = [self._answers[budget.key] for budget in some]
            at = self.now()
            try:
                for answer, spent in zip(answers, await self._ledger(some), strict=True):
                    answer.set_result(Reading(spent, at))
            except Exception as error:  # noqa: BLE001  # whatever it was, those who wait must not wait for ever
                for answer in answers:
                    answer.set_exception(error)
                    answer.exception()  # which nobody may be left to hear of
            for budget in some:
                del self._answers[budget.key]
        self._task = None
