"""What every limiter does with money, wherever it keeps its numbers."""

from __future__ import annotations

import asyncio

import pytest

from security.limits.api import Cost, OverLimit, Quota
from tests.support.limiting import LimiterStand


async def test_a_budget_is_spent_to_the_end_and_does_not_drain(stand: LimiterStand) -> None:
    quota = stand.quota(stand.budget("day", 100))
    await stand.spend(quota, 60, 60)
    refusal = await stand.refusal(quota, money=41)
    assert (refusal.limit, refusal.remaining) == (quota.budgets[0], 40)
    await stand.spend(quota, 40, 40)
    stand.later(3600.0)
    refusal = await stand.refusal(quota, money=1)
    assert (refusal.limit, refusal.remaining) == (quota.budgets[0], 0)


async def test_counting_begins_with_what_the_ledger_has_and_asks_it_once(stand: LimiterStand) -> None:
    quota = stand.quota(stand.budget("day", 100), stand.budget("month", 1000))
    stand.book.spent.update({budget.key: 70 for budget in quota.budgets})
    assert await stand.spent(quota) == [70, 70]
    await stand.spend(quota, 10, 20)
    assert await stand.spent(quota) == [90, 90]
    assert stand.book.read == 2


async def test_of_many_at_once_no_more_pass_than_it_pays_for_and_the_ledger_is_asked_once(stand: LimiterStand) -> None:
    quota = stand.quota(stand.budget("day", 1000))
    stand.book.spent[quota.budgets[0].key] = 100
    outcomes = await asyncio.gather(*(stand.ask(quota, money=150) for _ in range(50)), return_exceptions=True)
    assert sum(not isinstance(outcome, OverLimit) for outcome in outcomes) == 6
    assert stand.book.read == 1


async def test_what_was_held_too_much_comes_back_and_what_was_held_too_little_is_charged(stand: LimiterStand) -> None:
    quota = stand.quota(stand.budget("day", 100))
    await stand.spend(quota, 90, 12)
    assert await stand.spent(quota) == [12]
    await stand.spend(quota, 80, 300)
    assert (await stand.refusal(quota, money=1)).remaining == 0
    assert await stand.spent(quota) == [312]


async def test_a_failure_spends_nothing_and_only_the_first_settling_counts(stand: LimiterStand) -> None:
    quota = stand.quota(stand.budget("day", 100), stand.bucket("rpm", 10, unit="requests"), stand.slots("k", 2))
    with pytest.raises(ZeroDivisionError), await stand.ask(quota, money=90):
        raise ZeroDivisionError
    with await stand.ask(quota, money=100) as reservation:
        assert list(reservation.decision.spent) == [100]
        reservation.settle(Cost(1, money=7))
        reservation.settle(Cost(1, money=50))
    assert await stand.spent(quota) == [7]


async def test_all_or_nothing_with_every_other_limit(stand: LimiterStand) -> None:
    bucket, day, month = stand.bucket("tpm", 100), stand.budget("day", 100), stand.budget("month", 50)
    quota = stand.quota(bucket, day, month)
    assert (await stand.refusal(quota, 10, money=60)).limit == month
    assert await stand.spent(quota) == [0, 0]
    assert await stand.remaining(quota) == [100]
    await stand.use(stand.quota(bucket), 100, 100)
    assert (await stand.refusal(quota, 10, money=10)).limit == bucket
    assert (await stand.refusal(quota, 10, money=60)).limit == month, "which has room last"
    assert await stand.spent(quota) == [0, 0]


async def test_a_dry_run_is_charged_and_tells_what_it_would_not_have_paid_for(stand: LimiterStand) -> None:
    trial = stand.budget("trial", 100, enforce=False)
    quota = stand.quota(trial)
    for charged in (80, 160, 240):
        with await stand.ask(quota, money=80) as reservation:
            assert list(reservation.waived) == ([trial] if charged > 100 else [])
            reservation.settle(Cost(1, money=80))
        assert await stand.spent(quota) == [charged]


async def test_what_costs_nothing_passes(stand: LimiterStand) -> None:
    quota = stand.quota(stand.budget("day", 100))
    await stand.spend(quota, 100, 500)
    await stand.spend(quota, 0, 0)
    await stand.spend(Quota(quota.tenant), 10, 10)


async def test_what_a_server_says_was_used_can_be_nonsense(stand: LimiterStand) -> None:
    quota = stand.quota(stand.budget("day", 100))
    with await stand.ask(quota, money=10) as reservation:
        reservation.settle(Cost(1, money=-(10**30)))
    assert await stand.spent(quota) == [0]
    with await stand.ask(quota, money=10) as reservation:
        reservation.settle(Cost(1, money=10**30))
    assert (await stand.refusal(quota, money=1)).remaining == 0


async def test_a_look_tells_what_is_spent_and_held_and_what_the_ledger_has_of_the_rest(stand: LimiterStand) -> None:
    quota = stand.quota(stand.slots("k", 3), stand.budget("day", 100), stand.budget("month", 1000))

    async def spent() -> list[int | None]:
        return list((await stand.limiter.levels(quota)).budgets)

    stand.book.spent[quota.budgets[0].key] = 70
    assert await spent() == [70, 0]
    with await stand.ask(quota, money=20) as reservation:
        assert await spent() == [90, 20]
        reservation.settle(Cost(1, money=5))
    assert await spent() == [75, 5]
    assert (await stand.refusal(quota, money=26)).remaining == 25
