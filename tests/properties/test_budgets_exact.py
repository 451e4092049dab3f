"""What is counted of a budget is what its requests cost and what those under way hold, whatever the store forgets."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

import pytest
import redis
from hypothesis import given, settings
from hypothesis import strategies as st

from security.limits.api import Cost, OverLimit, Reservation
from security.limits.redis_store import RedisLimiter
from tests.support.limiting import Book, LimiterStand, shared
from tests.support.valkey import ValkeyServer, running_valkey

TENANTS = (f"payer{number}" for number in itertools.count())
LIMITS = 3000, 20_000


@dataclass(slots=True)
class Step:
    """`at`: which gateway. A request comes, or one ends that came by it; the store forgets; a gateway tells it all."""

    does: Literal["comes", "ends", "fails", "forgets", "tells", "looks"]
    at: int
    nth: int
    money: int


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from(["comes", "comes", "comes", "ends", "ends", "ends", "fails", "forgets", "tells", "looks"]),
        st.integers(0, 1),
        st.integers(0, 3),
        st.integers(0, 1000),
    ),
    max_size=40,
)


@dataclass(slots=True)
class UnderWay:
    at: int
    reservation: Reservation
    money: int
    forgotten: bool = False


class Town:
    """Two gateways, one store and one ledger, which has each request as it ends; no two things at one time."""

    def __init__(self, url: str) -> None:
        self.clock, self.book = [1000.0], Book()
        self.limiters = [shared(url, self.clock, ledger=self.book) for _ in range(2)]
        tenant = next(TENANTS)
        self.gateways = [LimiterStand(limiter, tenant, self.clock, self.book) for limiter in self.limiters]
        one = self.gateways[0]
        self.quota = one.quota(*(one.budget(f"b{limit}", limit) for limit in LIMITS))
        self.under_way: list[UnderWay] = []
        self.url = url

    async def step(self, step: Step) -> None:
        self.clock[0] += 1.0
        match step.does:
            case "comes":
                with suppress(OverLimit):
                    reservation = await self.gateways[step.at].ask(self.quota, money=step.money)
                    self.under_way.append(UnderWay(step.at, reservation, step.money))
            case "ends" | "fails" if step.nth < len(self.under_way):
                self._end(self.under_way.pop(step.nth), step.money if step.does == "ends" else 0)
            case "forgets":
                with redis.Redis.from_url(self.url) as client:
                    client.flushall()
                for one in self.under_way:
                    one.forgotten = True
            case "tells":
                await self._tell_twice(self.limiters[step.at])
            case "looks":
                await self.look()

    async def look(self) -> None:
        """Once all is told. What was forgotten holds nothing any more."""
        for limiter in self.limiters:
            await self._tell_twice(limiter)
        self.clock[0] += 1.0
        held = sum(one.money for one in self.under_way if not one.forgotten)
        counted = await self.gateways[0].spent(self.quota)
        assert counted == [self.book.spent[budget.key] + held for budget in self.quota.budgets]

    async def _tell_twice(self, limiter: RedisLimiter) -> None:
        """As after an answer that got lost."""
        box = limiter._line._outbox
        for _, message in tuple(box._waiting):
            box.add(message)
        assert await limiter._line.flush()

    def _end(self, one: UnderWay, money: int) -> None:
        one.reservation.settle(Cost(1, money=money))
        self.book.spent.update({budget.key: money for budget in self.quota.budgets})


async def live(url: str, happening: list[Step]) -> None:
    town = Town(url)
    try:
        for step in happening:
            await town.step(step)
        await town.look()
        for one in town.under_way:
            town.clock[0] += 1.0
            town._end(one, 7)
        town.under_way.clear()
        await town.look()
    finally:
        for limiter in town.limiters:
            await limiter.aclose()


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


@settings(max_examples=150)
@given(steps)
def test_each_is_charged_what_it_cost_and_once(valkey: ValkeyServer, happening: list[Step]) -> None:
    asyncio.run(live(valkey.url, happening))
