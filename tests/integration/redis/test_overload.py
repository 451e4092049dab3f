"""However much more is asked for than there is, the store is asked little, and what there is is given out."""

from __future__ import annotations

from collections import deque
from random import Random

import pytest

from security.limits.api import Cost, OverLimit, Reservation
from security.limits.leases import BUSY
from tests.support.limiting import LimiterStand, shared
from tests.support.valkey import ValkeyServer

RATE, BURST, MEAN = 50_000, 100_000, 1200
"""Tokens a second, at once, and that a request reserves on average."""
PARTS = 0.0, 0.9, 1.1, 1.0, 1.0
"""What of that it uses."""
SECONDS, TAKES = 30.0, 0.5


class Crowd:
    """Asks two gateways, at random times, so many times more than they may let pass by each of so many limits."""

    def __init__(self, url: str, times: float, limits: int = 1) -> None:
        self.clock = [1000.0]
        self.limiters = [shared(url, self.clock, BUSY) for _ in range(2)]
        stand = self.stands = [LimiterStand(limiter, "acme", self.clock) for limiter in self.limiters]
        one = stand[0]
        tokens = [one.bucket(f"tpm-{number}", 60 * RATE, burst=BURST) for number in range(limits)]
        self.quota = one.quota(*tokens, one.bucket("rpm", 10**6, unit="requests"))
        self.chance = Random(7)
        self.pace = times * RATE / MEAN
        self.under_way: deque[tuple[float, Reservation, int]] = deque()
        self.offered = self.wanted = self.admitted = 0

    async def live(self) -> None:
        look_at = 0.0
        while self.clock[0] < 1000.0 + SECONDS:
            self.clock[0] += self.chance.expovariate(self.pace)
            while self.under_way and self.under_way[0][0] <= self.clock[0]:
                _, ended, used = self.under_way.popleft()
                ended.settle(Cost(1, used))
            if self.clock[0] >= look_at:
                look_at = self.clock[0] + 0.5
                for limiter in self.limiters:
                    await limiter.look()
            await self.ask(self.chance.randrange(200, 2 * MEAN - 200))
        for limiter in self.limiters:
            await limiter.aclose()

    async def ask(self, tokens: int) -> None:
        used = round(tokens * self.chance.choice(PARTS))
        self.offered += 1
        self.wanted += used
        try:
            held = await self.chance.choice(self.stands).ask(self.quota, tokens)
        except OverLimit:
            return
        self.admitted += used
        self.under_way.append((self.clock[0] + TAKES, held, used))


@pytest.mark.parametrize(
    ("times", "limits", "calls"), [(0.5, 1, 0.6), (1.2, 1, 0.25), (4.0, 1, 0.13), (4.0, 3, 0.13), (20.0, 1, 0.03)]
)
async def test_the_store_is_asked_little(valkey: ValkeyServer, times: float, limits: int, calls: float) -> None:
    crowd = Crowd(valkey.url, times, limits)
    with valkey.client() as client:
        await crowd.live()
        asked = client.info("commandstats")["cmdstat_evalsha"]["calls"]
    admitted = crowd.admitted / RATE
    print(f"{times} x: {asked / crowd.offered:.3f} calls for each request; {admitted / SECONDS:.3f} of the limit")
    assert asked <= calls * crowd.offered, "what gateways count each other with is among them"
    wrong_by = sum(0.1 * used for *_, used in crowd.under_way) / RATE
    assert 0.95 * min(crowd.wanted / RATE, SECONDS) <= admitted
    assert admitted <= SECONDS + BURST / RATE + 2 * 0.25 + wrong_by
