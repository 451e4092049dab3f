"""Slots on the store end with those who hold them, whatever becomes of these."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import count
from random import Random
from typing import Any

from redis.asyncio import Redis, RedisCluster

from security.limits import script
from security.limits.api import Cost
from security.limits.cashier import Cashier
from security.limits.client import connect
from security.limits.line import Line
from security.limits.redis_store import RedisLimiter
from security.limits.script import Call
from tests.support.limiting import LimiterStand, shared
from tests.support.valkey import ValkeyServer
from tests.support.waiting import PATIENCE, until


async def test_p08_slots_of_a_crashed_gateway_are_free_within_their_time(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    crashed, alive = (LimiterStand(shared(valkey.url, clock), "acme", clock) for _ in range(2))
    quota = alive.quota(alive.slots("k", 3))
    for _ in range(2):
        await crashed.ask(quota)
    held = await alive.ask(quota)
    for _ in range(2):
        clock[0] += 14.9
        await alive.limiter.beat()  # type: ignore[attr-defined]
        assert (await alive.refusal(quota)).limit == quota.slots[0]
    clock[0] += 0.3
    both = [await alive.ask(quota) for _ in range(2)]
    await alive.refusal(quota)
    for reservation in (held, *both):
        reservation.settle(Cost())
    await alive.limiter.beat()  # type: ignore[attr-defined]
    for stand in (crashed, alive):
        await stand.limiter.aclose()


async def test_slots_that_are_renewed_outlast_their_time(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    one, other = (LimiterStand(shared(valkey.url, clock), "acme", clock) for _ in range(2))
    quota = one.quota(one.slots("k", 1))
    held = await one.ask(quota)
    for _ in range(10):
        clock[0] += 20
        await one.limiter.beat()  # type: ignore[attr-defined]
        await other.refusal(quota)
    held.settle(Cost())
    await one.limiter.aclose()
    clock[0] += 0.1  # for so long nobody asks again
    (await other.ask(quota)).settle(Cost())
    await other.limiter.aclose()


async def test_p08_a_caller_who_asks_one_after_the_other_is_never_refused(valkey: ValkeyServer) -> None:
    """What is let go of here is free here at once, though the store is told a little later."""
    clock = [1000.0]
    stand = LimiterStand(shared(valkey.url, clock), "acme", clock)
    quota = stand.quota(stand.slots("k", 1))
    for _ in range(300):
        (await stand.ask(quota)).settle(Cost())
    await stand.limiter.aclose()


async def test_what_is_let_go_of_is_free_elsewhere_soon(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    one, other = (LimiterStand(shared(valkey.url, clock), "acme", clock) for _ in range(2))
    quota = one.quota(one.slots("k", 1))
    (await one.ask(quota)).settle(Cost())
    await one.limiter._line.flush()  # type: ignore[attr-defined]
    (await other.ask(quota)).settle(Cost())
    with valkey.client() as client:
        await other.limiter.aclose()
        await until(lambda: not client.exists(quota.slots[0].key))
    await one.limiter.aclose()


class Overtaking(Line):
    """While slots are renewed, something happens that the store hears of first."""

    def __init__(self, client: Redis | RedisCluster, text: str) -> None:
        super().__init__(client, text, PATIENCE)
        self.meanwhile: Callable[[], None] | None = None

    async def ask_patiently(self, calls: Sequence[Call]) -> list[Any]:
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
            await self.flush()
        return await super().ask_patiently(calls)


async def test_what_is_let_go_of_while_it_is_renewed_is_free(valkey: ValkeyServer) -> None:
    clock, numbers = [1000.0], count()
    line = Overtaking(connect(valkey.url), script.text())
    limiter = RedisLimiter(
        line, lambda: f"r{next(numbers)}", lambda: clock[0], Random(1), Cashier(line), lambda: clock[0]
    )
    stand = LimiterStand(limiter, "acme", clock)
    quota = stand.quota(stand.slots("k", 2))
    ends, stays = await stand.ask(quota), await stand.ask(quota)
    line.meanwhile = lambda: ends.settle(Cost())
    assert await limiter.beat()
    await line.flush()
    with valkey.client() as client:
        assert client.zcard(quota.slots[0].key) == 1
    stays.settle(Cost())
    await limiter.aclose()
