"""However much more is asked for than there is, the store is asked little, and what there is is given out."""

from __future__ import annotations

from random import Random

import pytest

from security.limits.api import Cost, OverLimit, Reservation
from security.limits.leases import BUSY
from tests.support.limiting import gateway
from tests.support.valkey import ValkeyServer

RATE, MEAN, USED = 50_000, 1200, 0.8
"""Tokens a second, of a request on average, and the part of what it reserved that it uses."""


@pytest.mark.parametrize(("times", "calls"), [(0.5, 0.5), (4.0, 0.15), (20.0, 0.03)])
async def test_the_store_is_asked_little(valkey: ValkeyServer, times: float, calls: float) -> None:
    clock, chance, seconds = [1000.0], Random(7), 30.0
    async with gateway(valkey.url, clock, BUSY) as one, gateway(valkey.url, clock, BUSY) as other:
        await one.limiter.beat()  # type: ignore[attr-defined]
        limits = [one.bucket("tpm", 60 * RATE, burst=2 * RATE), one.bucket("rpm", 10**6, unit="requests")]
        quota = one.quota(*limits)
        under_way: list[tuple[float, Reservation, int]] = []
        offered = admitted = 0
        with valkey.client() as client:
            client.config_resetstat()
            while clock[0] < 1000.0 + seconds:
                clock[0] += chance.expovariate(times * RATE / MEAN)
                while under_way and under_way[0][0] <= clock[0]:
                    _, ended, used = under_way.pop(0)
                    ended.settle(Cost(1, used))
                offered += 1
                tokens = chance.randrange(200, 2 * MEAN - 200)
                try:
                    held = await chance.choice((one, other)).ask(quota, tokens)
                except OverLimit:
                    continue
                used = round(tokens * chance.choice((0.0, 0.9, 1.1, 1.0, 1.0)))  # USED on average
                admitted += used
                under_way.append((clock[0] + 0.5, held, used))
            asked = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    print(f"{times} x: {asked / offered:.3f} calls for each request; {admitted / RATE / seconds:.3f} of the limit")
    assert asked <= calls * offered
    wrong_by = sum(0.1 * used for *_, used in under_way)
    assert 0.95 * min(times * USED, 1.0) * RATE * seconds <= admitted
    assert admitted <= RATE * (seconds + 2) + 2 * RATE / 4 + wrong_by
