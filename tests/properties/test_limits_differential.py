"""The script that runs in Redis and the twin in Python come to the same numbers, to the microsecond."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from security.limits.api import Bucket, Cost, NeverFits, OverLimit, Quota, Reservation, Slots, key
from security.limits.budget import Budget
from security.limits.limiter import Limiter
from security.limits.local import LocalLimiter
from tests.support.limiting import shared
from tests.support.valkey import ValkeyServer, running_valkey

END = 2_000_000_000
TENANTS = (f"twin{number}" for number in itertools.count())
money = st.integers(0, 4000) | st.just(10**13)
costs = st.builds(Cost, st.integers(0, 3), st.integers(0, 900), st.integers(0, 400) | st.just(10**15), money)


@dataclass(slots=True)
class Limits:
    """As they may be set."""

    limits: list[tuple[str, int, float, int, bool]]
    slots: list[tuple[int, bool]]
    budgets: list[tuple[int, int, bool]]

    def quota(self, tenant: str) -> Quota:
        return Quota(
            tenant,
            tuple(
                Bucket(key(tenant, f"b{number}"), unit, limit, window, burst, enforce)  # type: ignore[arg-type]
                for number, (unit, limit, window, burst, enforce) in enumerate(self.limits)
            ),
            tuple(
                Slots(key(tenant, f"s{number}"), limit, enforce) for number, (limit, enforce) in enumerate(self.slots)
            ),
            budgets=tuple(
                Budget(key(tenant, f"m{number}"), limit, "day", 0, END, (("spent", str(spent)),), enforce)
                for number, (limit, spent, enforce) in enumerate(self.budgets)
            ),
        )


units = st.sampled_from(["requests", "input_tokens", "output_tokens", "tokens"])
enforced = st.sampled_from([True, True, True, False])
wanted = st.builds(
    Limits,
    st.lists(
        st.tuples(
            units, st.integers(1, 2000), st.sampled_from([0.9, 7.0, 60.0, 86400.0]), st.integers(0, 2000), enforced
        ),
        max_size=4,
    ),
    st.lists(st.tuples(st.integers(1, 3), enforced), max_size=2),
    st.lists(st.tuples(st.integers(1, 20_000), st.integers(0, 5000), enforced), max_size=3),
)


async def ledger(budgets: Sequence[Budget]) -> Sequence[int]:
    """What it says was spent before."""
    return [int(budget.holder[0][1]) for budget in budgets]


@dataclass(slots=True)
class Step:
    """Some time later, a request comes; and of those under way, one ends: with a cost, or without (a failure)."""

    later: float
    cost: Cost
    ends: int
    actual: Cost | None


happenings = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.0, 0.001, 0.7, 5.0, 40.0]),
        costs,
        st.integers(0, 9),
        costs | st.just(Cost(1, -7, 3, -5)) | st.none(),
    ),
    max_size=15,
)


async def outcome(limiter: Limiter, quota: Quota, cost: Cost) -> tuple[object, Reservation | None]:
    """What can be seen of a decision, and what came of it."""
    try:
        held = (None if quota.budgets else limiter.take(quota, cost)) or await limiter.reserve(quota, cost)
    except OverLimit as over:
        return (over.limit, over.wait, over.standings, over.remaining), None
    except NeverFits as never:
        return never.bucket, None
    made = held.decision
    told = list(made.paid), list(made.held), list(made.waived), held.standings, list(made.spent)
    return told, held


async def levels(limiter: Limiter, quota: Quota) -> tuple[list[int], list[int], list[int | None]]:
    told = await limiter.levels(quota)
    return list(told.buckets), list(told.slots), list(told.budgets)


async def live_alike(url: str, quota: Quota, happening: list[Step]) -> None:
    clock = [1_700_000_000.0]
    twin, real = LocalLimiter(lambda: clock[0], ledger), shared(url, clock, ledger=ledger)
    under_way: list[tuple[Reservation, Reservation]] = []
    try:
        for step in happening:
            clock[0] += step.later
            await real.beat()
            expected, mine = await outcome(twin, quota, step.cost)
            found, theirs = await outcome(real, quota, step.cost)
            assert found == expected
            if mine and theirs:
                under_way.append((mine, theirs))
            assert await levels(real, quota) == await levels(twin, quota)
            if step.ends < len(under_way):
                for reservation in under_way.pop(step.ends):
                    with reservation:
                        if step.actual is not None:
                            reservation.settle(step.actual)
    finally:
        await real.aclose()


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


@settings(max_examples=150)
@given(limits=wanted, happening=happenings)
def test_both_decide_alike(valkey: ValkeyServer, limits: Limits, happening: list[Step]) -> None:
    asyncio.run(live_alike(valkey.url, limits.quota(next(TENANTS)), happening))
