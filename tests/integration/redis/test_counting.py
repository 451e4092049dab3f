"""How many gateways there are is known to each within moments: by that number limits are divided in an outage."""

from __future__ import annotations

from collections.abc import Sequence

from security.limits.redis_store import BEAT, COUNT, RedisLimiter
from tests.support.limiting import shared
from tests.support.valkey import ValkeyServer


def counts(limiters: Sequence[RedisLimiter]) -> list[int]:
    return [limiter._shares.gateways for limiter in limiters]


async def look_on(clock: list[float], limiters: Sequence[RedisLimiter], seconds: float) -> None:
    clock[0] += seconds
    for limiter in limiters:
        await limiter.look()


async def test_gateways_that_start_together_see_each_other_at_once(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    limiters = [shared(valkey.url, clock) for _ in range(4)]
    for limiter in limiters:
        await limiter.start()
    assert counts(limiters) == [1, 2, 3, 4]
    await look_on(clock, limiters, COUNT)
    assert counts(limiters) == [4] * 4
    newcomer = shared(valkey.url, clock)
    await newcomer.start()
    await look_on(clock, limiters, COUNT)
    assert counts([*limiters, newcomer]) == [5] * 5
    for limiter in (*limiters, newcomer):
        await limiter.aclose()


async def test_a_store_that_forgot_them_is_never_believed(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    limiters = [shared(valkey.url, clock) for _ in range(4)]
    for limiter in limiters:
        await limiter.start()
    await look_on(clock, limiters, COUNT)
    with valkey.client() as client:
        client.flushall()
    for _ in range(round(2 * BEAT / COUNT)):
        clock[0] += COUNT
        for limiter in limiters:
            await limiter.look()
            assert counts(limiters) == [4] * 4
    for limiter in limiters:
        await limiter.aclose()
