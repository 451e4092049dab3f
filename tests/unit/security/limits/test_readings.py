"""The ledger is asked about all budgets at a time together, about each once, and nobody waits for ever."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from security.limits.api import LimitsAway
from security.limits.budget import Budget
from security.limits.readings import TOGETHER, Reading, Readings, unknown


def budget(number: int) -> Budget:
    return Budget(f"b{number}", 100, "day", 0, 86_400)


class Slow:
    """Answers once it is let."""

    def __init__(self) -> None:
        self.asked: list[list[str]] = []
        self.answering = asyncio.Event()

    async def __call__(self, budgets: Sequence[Budget]) -> Sequence[int]:
        self.asked.append([one.key for one in budgets])
        await self.answering.wait()
        return [int(one.key[1:]) for one in budgets]


async def test_what_is_asked_meanwhile_is_asked_together_and_each_once() -> None:
    ledger, clock = Slow(), [5.0]
    readings = Readings(ledger, lambda: clock[0])
    asking = [asyncio.create_task(readings.of(budget(number))) for number in (0, 0)]
    await asyncio.sleep(0)
    asking += [asyncio.create_task(readings.of(budget(number % 300))) for number in range(600)]
    await asyncio.sleep(0)
    asking[5].cancel()
    clock[0] = 6.0
    ledger.answering.set()
    told = await asyncio.gather(*asking, return_exceptions=True)
    assert [len(some) for some in ledger.asked] == [1, TOGETHER, TOGETHER, 99]
    assert told[:2] == [Reading(0, 5_000_000)] * 2
    assert told[3] == Reading(1, 6_000_000)
    assert isinstance(told[5], asyncio.CancelledError)
    assert told[305] == Reading(3, 6_000_000), "who asked as well has it"
    assert repr(readings) == "<Readings, 0 under way>"
    assert await readings.of(budget(3)) == Reading(3, 6_000_000)


async def test_who_can_t_be_told_is_told_so_and_the_next_one_asks_again() -> None:
    readings = Readings(unknown, lambda: 0.0)
    told = await asyncio.gather(*(readings.of(budget(number)) for number in range(3)), return_exceptions=True)
    assert [type(one) for one in told] == [LimitsAway] * 3
    with pytest.raises(LimitsAway):
        await readings.of(budget(1))


async def test_a_mistake_lets_nobody_wait() -> None:
    async def mistaken(_budgets: Sequence[Budget]) -> Sequence[int]:
        return []

    with pytest.raises(ValueError, match="zip"):
        await Readings(mistaken, lambda: 0.0).of(budget(1))
