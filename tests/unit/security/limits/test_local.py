"""A process keeps what is live in memory, and little more."""

from __future__ import annotations

import time

from security.limits.api import Bucket, Cost, Quota, Slots
from security.limits.budget import Budget
from security.limits.local import LocalLimiter


def quota(name: str) -> Quota:
    return Quota("acme", (Bucket(name, "requests", 60, 60),))


def test_buckets_that_have_drained_make_room_for_new_ones() -> None:
    now = [0.0]
    limiter = LocalLimiter(lambda: now[0])
    most = 0
    for number in range(10_000):
        now[0] += 0.01  # each drains in a second: a hundred are live
        limiter.take(quota(f"key{number}"), Cost()).settle(Cost())
        most = max(most, len(limiter._tats))
    assert most <= 210


def test_buckets_that_are_live_are_never_dropped() -> None:
    limiter = LocalLimiter(lambda: 0.0)
    for number in range(1000):
        limiter.take(quota(f"key{number}"), Cost(60)).settle(Cost(60))
    assert len(limiter._tats) == 1000


def test_slots_that_are_free_need_no_memory() -> None:
    limiter = LocalLimiter(lambda: 0.0)
    for number in range(100):
        with limiter.take(Quota("acme", slots=(Slots(f"key{number}", 2),)), Cost()):
            assert len(limiter._used) == 1
    assert not limiter._used


def test_a_decision_costs_next_to_nothing() -> None:
    """The strict figure is measured elsewhere; this would show a cost that grows."""
    limiter = LocalLimiter(time.monotonic)
    four = tuple(Bucket(f"bucket{number}", "tokens", 10**9, 60) for number in range(4))
    wanted = Quota("acme", four, (Slots("slots", 10),))
    started = time.perf_counter()
    for _ in range(2000):
        with limiter.take(wanted, Cost(1, 700, 300)) as reservation:
            reservation.settle(Cost(1, 700, 120))
    assert (time.perf_counter() - started) / 2000 < 100e-6


async def test_it_has_no_trouble_and_nothing_to_watch() -> None:
    limiter = LocalLimiter(time.monotonic)
    await limiter.start()
    await limiter.watch()
    await limiter.aclose()
    assert not limiter.trouble


async def test_a_look_at_a_budget_while_the_ledger_is_away_tells_that_nobody_knows() -> None:
    budget = Budget("acme:day", 100, "day", 0, 86_400)
    levels = await LocalLimiter(lambda: 0.0).levels(Quota("acme", budgets=(budget,)))
    assert levels.budgets == [None]
