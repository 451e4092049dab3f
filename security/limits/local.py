"""Limits of one process, in its memory."""

from __future__ import annotations

import time
from collections import OrderedDict
from collections.abc import Callable
from contextlib import suppress

from security.limits import readings
from security.limits.api import SECOND, Cost, Decision, LimitsAway, OverLimit, Quota, Reservation
from security.limits.budget import Ledger
from security.limits.gcra import charges, fit, reserve, settle
from security.limits.limiter import Levels
from security.limits.purse import Purse
from security.limits.spending import spend

LOOKED_AT = 2
"""Buckets that each new one has looked at, whether they have drained: then at most as many are kept as live ones."""


class LocalLimiter:
    """A Limiter that never waits, but for the ledger. `clock` is monotonic, in seconds."""

    trouble = ""

    def __init__(self, clock: Callable[[], float], ledger: Ledger = readings.unknown) -> None:
        self.purse = Purse()
        self._readings = readings.Readings(ledger, time.time)
        self._clock = clock
        self._tats: OrderedDict[str, int] = OrderedDict()
        self._used: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<LocalLimiter {len(self._tats)} buckets, {sum(self._used.values())} slots taken>"

    def take(self, quota: Quota, cost: Cost) -> Reservation:
        """Raises Unread, too."""
        now = round(self._clock() * SECOND)
        tats, used, before = self._tats, self._used, len(self._tats)
        decision = None if quota.budgets else fit(quota, cost, tats, used, now)
        if decision is None:
            stood = [tats.get(bucket.key, 0) for bucket in quota.buckets]
            busy = [used.get(slots.key, 0) for slots in quota.slots]
            decision = reserve(quota, charges(quota, cost), stood, busy, now)
            if quota.budgets:
                decision = spend(quota, cost.money, self.purse.spent(quota), decision, stood)
        if decision.refused_by is not None:
            raise OverLimit(quota, decision)
        for bucket, paid, tat in zip(quota.buckets, decision.paid, decision.tats, strict=True):
            if paid:
                tats[bucket.key] = tat
        if len(tats) > before:
            self._drop_drained(now, LOOKED_AT * (len(tats) - before))
        for slots in decision.held:
            used[slots.key] = used.get(slots.key, 0) + 1
        if decision.spent:
            self.purse.hold(quota, decision)
        return Reservation(quota, decision, self._end)

    async def reserve(self, quota: Quota, cost: Cost) -> Reservation:
        await self._learn(quota)
        return self.take(quota, cost)

    async def levels(self, quota: Quota) -> Levels:
        with suppress(LimitsAway):
            await self._learn(quota)
        now = round(self._clock() * SECOND)
        buckets = [max(0, self.tat(bucket.key) - now) for bucket in quota.buckets]
        slots = [self._used.get(each.key, 0) for each in quota.slots]
        return Levels("local", 1, buckets, slots, [self.purse.level(budget) for budget in quota.budgets])

    def tat(self, key: str) -> int:
        """Until when a bucket drains, in microseconds of the clock."""
        return self._tats.get(key, 0)

    def put(self, key: str, tat: int) -> None:
        """As it is known from elsewhere."""
        self._tats[key] = tat

    async def start(self) -> None:
        """Nothing to start."""

    async def watch(self) -> None:
        """Nothing goes on beside requests."""

    async def aclose(self) -> None:
        """Nothing is held."""

    async def _learn(self, quota: Quota) -> None:
        """What is written down of budgets of which nothing is counted yet. Raises LimitsAway."""
        for budget in self.purse.unknown(quota):
            self.purse.learn(budget, (await self._readings.of(budget)).spent)

    def _end(self, quota: Quota, decision: Decision, actual: Cost) -> None:
        if decision.spent:
            self.purse.settle(quota, decision, actual)
        settle(quota, decision.paid, actual, self._tats, round(self._clock() * SECOND))
        used = self._used
        for slots in decision.held:
            left = used[slots.key] - 1
            if left:
                used[slots.key] = left
            else:
                del used[slots.key]

    def _drop_drained(self, now: int, looks: int) -> None:
        for _ in range(looks):
            key, tat = self._tats.popitem(last=False)
            if tat > now:
                self._tats[key] = tat
