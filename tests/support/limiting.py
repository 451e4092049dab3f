"""A limiter under test, whichever it is, on a clock that stands still until it is told to move."""

from __future__ import annotations

from collections.abc import Awaitable, Callable

from security.limits.api import Bucket, Cost, Limiter, OverLimit, Quota, Reservation, Slots, Unit, key


class LimiterStand:
    """`clock` is what the limiter reads, in seconds; `flush` has what it tells its store later told now."""

    def __init__(self, tenant: str, clock: list[float], flush: Callable[[], Awaitable[None]]) -> None:
        self.limiter: Limiter
        self.tenant = tenant
        self.flush = flush
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

    def quota(self, *limits: Bucket | Slots) -> Quota:
        return Quota(
            self.tenant,
            tuple(limit for limit in limits if isinstance(limit, Bucket)),
            tuple(limit for limit in limits if isinstance(limit, Slots)),
        )

    def later(self, seconds: float) -> None:
        self._clock[0] += seconds

    async def ask(self, quota: Quota, tokens: int = 0, output: int = 0) -> Reservation:
        cost = Cost(1, tokens, output)
        return self.limiter.take(quota, cost) or await self.limiter.reserve(quota, cost)

    async def use(self, quota: Quota, reserved: int, used: int) -> None:
        """A whole request."""
        with await self.ask(quota, reserved) as reservation:
            reservation.settle(Cost(1, used))
        await self.flush()

    async def refusal(self, quota: Quota, tokens: int = 0) -> OverLimit:
        try:
            reservation = await self.ask(quota, tokens)
        except OverLimit as refusal:
            return refusal
        raise AssertionError(f"not refused: {reservation!r}")

    async def remaining(self, quota: Quota) -> list[int]:
        """Of each bucket, without taking anything."""
        look, nothing = Quota(self.tenant, quota.buckets), Cost(0)
        with self.limiter.take(look, nothing) or await self.limiter.reserve(look, nothing) as probe:
            remaining = [standing.remaining for standing in probe.standings]
        await self.flush()
        return remaining
