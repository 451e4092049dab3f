"""A limiter under test, whichever it is, on a clock that stands still until it is told to move."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from itertools import count
from random import Random
from secrets import token_hex

from redis.asyncio import Redis

from security.limits import readings, script
from security.limits.api import Bucket, Cost, Limit, OverLimit, Quota, Reservation, Slots, Unit, key
from security.limits.budget import Budget, Ledger
from security.limits.cashier import GRACE, Cashier
from security.limits.client import connect
from security.limits.limiter import Limiter
from security.limits.line import Line
from security.limits.redis_store import RedisLimiter
from tests.support.waiting import PATIENCE

NEVER = 10**9


def shared(  # all of it
    store: str | Redis,
    clock: list[float] | None = None,
    busy: int = NEVER,
    deadline: float = PATIENCE,
    ledger: Ledger = readings.unknown,
    grace: float = GRACE,
) -> RedisLimiter:
    """Over the Redis at that URL, which takes the time from `clock`, too, if there is one. `busy`: see leases.py."""
    mark, numbers = token_hex(4), count()
    line = Line(connect(store) if isinstance(store, str) else store, script.text(), deadline)
    mint, chance = (lambda: f"{mark}-{next(numbers)}"), Random(1)
    if clock is None:
        limiter = RedisLimiter(line, mint, time.monotonic, chance, Cashier(line, ledger, time.time, grace))
    else:
        cashier = Cashier(line, ledger, lambda: clock[0], grace)
        limiter = RedisLimiter(line, mint, lambda: clock[0], chance, cashier, lambda: clock[0])
    limiter._leases.busy = busy  # where time stands still, every limit would be
    return limiter


@asynccontextmanager
async def gateway(
    url: str, clock: list[float] | None = None, busy: int = NEVER, deadline: float = PATIENCE
) -> AsyncIterator[LimiterStand]:
    """A limiter as a gateway has it: started, watching, and closed in the end."""
    book = Book()
    limiter = shared(url, clock, busy, deadline, book)
    await limiter.start()
    watching = asyncio.create_task(limiter.watch())
    try:
        yield LimiterStand(limiter, "acme", clock or [], book)
    finally:
        watching.cancel()
        with suppress(asyncio.CancelledError):
            await watching
        await limiter.aclose()


class Book:
    """A ledger: millionths by the key of a budget. `read` counts those asked about."""

    def __init__(self) -> None:
        self.spent: Counter[str] = Counter()
        self.read = 0

    async def __call__(self, budgets: Sequence[Budget]) -> Sequence[int]:
        self.read += len(budgets)
        return [self.spent[budget.key] for budget in budgets]


class LimiterStand:
    """`clock` is what the limiter reads, in seconds; `book` is its ledger."""

    def __init__(self, limiter: Limiter, tenant: str, clock: list[float], book: Book | None = None) -> None:
        self.book = book or Book()
        self.limiter = limiter
        self.tenant = tenant
        self._clock = clock

    def bucket(
        self,
        name: str,
        limit: int,
        *,
        unit: Unit = "tokens",
        window: float = 60.0,
        burst: int = 0,
        enforce: bool = True,
    ) -> Bucket:
        return Bucket(key(self.tenant, "key", name), unit, limit, window, burst, enforce)

    def slots(self, name: str, limit: int, *, enforce: bool = True) -> Slots:
        return Slots(key(self.tenant, "key", name, "slots"), limit, enforce)

    def budget(self, name: str, limit: int, *, enforce: bool = True) -> Budget:
        """Of the first day."""
        return Budget(key(self.tenant, "key", name, "day_budget"), limit, "day", 0, 86_400, (), enforce)

    def quota(self, *limits: Limit) -> Quota:
        return Quota(
            self.tenant,
            tuple(limit for limit in limits if isinstance(limit, Bucket)),
            tuple(limit for limit in limits if isinstance(limit, Slots)),
            budgets=tuple(limit for limit in limits if isinstance(limit, Budget)),
        )

    def later(self, seconds: float) -> None:
        self._clock[0] += seconds

    async def ask(self, quota: Quota, tokens: int = 0, output: int = 0, money: int = 0) -> Reservation:
        cost = Cost(1, tokens, output, money)
        if quota.budgets:
            return await self.limiter.reserve(quota, cost)
        return self.limiter.take(quota, cost) or await self.limiter.reserve(quota, cost)

    async def spend(self, quota: Quota, held: int, money: int) -> None:
        """A whole request, which is written down."""
        with await self.ask(quota, money=held) as reservation:
            reservation.settle(Cost(1, money=money))
        self.book.spent.update({budget.key: money for budget in quota.budgets})

    async def spent(self, quota: Quota) -> list[int]:
        """Millionths that are spent or held of each budget, without taking anything."""
        with await self.ask(Quota(self.tenant, budgets=quota.budgets)) as probe:
            return list(probe.decision.spent)

    async def use(self, quota: Quota, reserved: int, used: int) -> None:
        """A whole request."""
        with await self.ask(quota, reserved) as reservation:
            reservation.settle(Cost(1, used))

    async def refusal(self, quota: Quota, tokens: int = 0, money: int = 0) -> OverLimit:
        try:
            reservation = await self.ask(quota, tokens, money=money)
        except OverLimit as refusal:
            return refusal
        raise AssertionError(f"not refused: {reservation!r}")

    async def remaining(self, quota: Quota) -> list[int]:
        """Of each bucket, without taking anything."""
        look, nothing = Quota(self.tenant, quota.buckets), Cost(0)
        with self.limiter.take(look, nothing) or await self.limiter.reserve(look, nothing) as probe:
            return [standing.remaining for standing in probe.standings]


async def admitted(stand: LimiterStand, quota: Quota, tokens: int) -> int:
    """How many pass, one after the other, until one is refused."""
    passed = 0
    while True:
        try:
            (await stand.ask(quota, tokens)).settle(Cost(1, tokens))
        except OverLimit:
            return passed
        passed += 1
