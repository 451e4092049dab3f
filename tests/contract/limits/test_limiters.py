"""What every limiter does, wherever it keeps its numbers."""

from __future__ import annotations

import asyncio

import pytest

from security.limits.api import Cost, NeverFits, OverLimit
from tests.support.limiting import LimiterStand


async def test_a_bucket_holds_its_burst_and_refills_at_its_rate(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 600, burst=100))
    await stand.use(quota, 100, 100)
    refusal = await stand.refusal(quota, 10)
    assert (refusal.limit, refusal.wait, refusal.remaining) == (quota.buckets[0], 1.0, 0)
    stand.later(0.999)
    await stand.refusal(quota, 10)
    stand.later(0.001)
    await stand.use(quota, 10, 10)


async def test_waiting_exactly_as_long_as_told_is_enough(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 777, burst=500), stand.bucket("day", 7001, window=86400.0))
    for asked in range(1, 20):
        await stand.use(quota, 483, 483)
        refusal = await stand.refusal(quota, 100 + asked)
        stand.later(refusal.wait)
        await stand.use(quota, 100 + asked, 0)
        stand.later(86400.0)


async def test_the_wait_is_the_longest_of_all_that_refuse(stand: LimiterStand) -> None:
    slow, fast = stand.bucket("slow", 60), stand.bucket("fast", 600, unit="input_tokens")
    quota = stand.quota(fast, slow)
    await stand.use(quota, 60, 60)
    await stand.use(stand.quota(fast), 540, 540)
    refusal = await stand.refusal(quota, 20)
    assert (refusal.limit, refusal.wait) == (slow, 20.0)


async def test_what_is_refused_by_one_is_taken_of_none(stand: LimiterStand) -> None:
    key, tenant = stand.bucket("key", 100), stand.bucket("tenant", 1000)
    await stand.use(stand.quota(key), 100, 100)
    refusal = await stand.refusal(stand.quota(tenant, key), 10)
    assert [standing.remaining for standing in refusal.standings] == [1000, 0]
    assert await stand.remaining(stand.quota(tenant, key)) == [1000, 0]


async def test_each_unit_is_counted_for_itself(stand: LimiterStand) -> None:
    quota = stand.quota(
        stand.bucket("requests", 10, unit="requests"),
        stand.bucket("input", 1000, unit="input_tokens"),
        stand.bucket("output", 1000, unit="output_tokens"),
        stand.bucket("all", 1000, unit="tokens"),
    )
    reservation = await stand.ask(quota, 100, 30)
    assert [standing.remaining for standing in reservation.standings] == [9, 900, 970, 870]
    assert [standing.full_in for standing in reservation.standings] == [6.0, 6.0, 1.8, 7.8]


async def test_what_was_reserved_too_much_comes_back(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 1000))
    await stand.use(quota, 900, 120)
    assert await stand.remaining(quota) == [880]


async def test_what_was_used_beyond_it_is_a_debt_that_others_wait_for(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 600))
    await stand.use(quota, 500, 900)
    refusal = await stand.refusal(quota, 10)
    assert (refusal.wait, refusal.remaining) == (31.0, 0)
    stand.later(31.0)
    await stand.use(quota, 10, 10)


async def test_a_failure_costs_nothing(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 1000), stand.bucket("rpm", 10, unit="requests"), stand.slots("k", 1))
    with pytest.raises(ZeroDivisionError), await stand.ask(quota, 900):
        raise ZeroDivisionError
    assert await stand.remaining(quota) == [1000, 10]
    await stand.use(quota, 1000, 1000)


async def test_only_the_first_settling_counts(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 1000), stand.slots("k", 2))
    held = await stand.ask(quota, 100)
    with await stand.ask(quota, 500) as reservation:
        reservation.settle(Cost(1, 200))
        reservation.settle(Cost(1, 1))
    reservation.settle(Cost(1, 900))
    assert await stand.remaining(quota) == [700]
    other = await stand.ask(quota)
    assert (await stand.refusal(quota)).limit == quota.slots[0]
    held.settle(Cost(1, 100))
    other.settle(Cost())


async def test_what_can_never_pass_is_told_so(stand: LimiterStand) -> None:
    small, large = stand.bucket("small", 100, burst=50), stand.bucket("large", 1000)
    await stand.use(stand.quota(large), 1000, 1000)
    with pytest.raises(NeverFits) as never:
        await stand.ask(stand.quota(large, small), 51)
    assert never.value.bucket == small
    await stand.use(stand.quota(small), 50, 50)


async def test_slots_bound_how_many_are_under_way(stand: LimiterStand) -> None:
    quota = stand.quota(stand.slots("k", 2), stand.bucket("tpm", 1000))
    one, two = await stand.ask(quota, 10), await stand.ask(quota, 10)
    refusal = await stand.refusal(quota, 10)
    assert (refusal.limit, refusal.wait, refusal.remaining) == (quota.slots[0], 1.0, 0)
    assert await stand.remaining(quota) == [980]
    one.settle(Cost(1, 10))
    with await stand.ask(quota, 10), two:
        await stand.refusal(quota, 10)


async def test_a_dry_run_refuses_nobody_and_tells_whom_it_would_have(stand: LimiterStand) -> None:
    trial, real = stand.bucket("trial", 100, enforce=False), stand.bucket("real", 1000)
    few = stand.slots("few", 1, enforce=False)
    quota = stand.quota(trial, real, few)
    with await stand.ask(quota, 80) as first, await stand.ask(quota, 80) as second:
        assert list(first.waived) == []
        assert list(second.waived) == [trial, few]
        assert [standing.bucket for standing in second.standings] == [real]
        first.settle(Cost(1, 80))
        second.settle(Cost(1, 80))
    assert await stand.remaining(quota) == [840]
    stand.later(48.0)
    with await stand.ask(quota, 100) as third:
        assert list(third.waived) == [], "what would have been refused has not used anything up either"
    with await stand.ask(quota, 101) as fourth:
        assert list(fourth.waived) == [trial]


async def test_what_a_request_takes_nothing_of_does_not_bind_it(stand: LimiterStand) -> None:
    output = stand.bucket("output", 100, unit="output_tokens")
    with await stand.ask(stand.quota(output), 0, 100) as reservation:
        reservation.settle(Cost(1, 0, 1000))
    await stand.use(stand.quota(output), 50, 50)


async def test_what_a_server_says_was_used_can_be_nonsense(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 1000))
    await stand.use(quota, 100, -5000)
    assert await stand.remaining(quota) == [1000]
    await stand.use(quota, 100, 10**30)
    assert (await stand.refusal(quota, 1)).wait > 86400


async def test_of_many_at_once_no_more_pass_than_fit(stand: LimiterStand) -> None:
    quota = stand.quota(stand.bucket("tpm", 1000), stand.slots("k", 8))
    outcomes = await asyncio.gather(*(stand.ask(quota, 150) for _ in range(50)), return_exceptions=True)
    assert sum(not isinstance(outcome, OverLimit) for outcome in outcomes) == 6


async def test_a_look_tells_levels_and_what_is_under_way_and_takes_nothing(stand: LimiterStand) -> None:
    tpm, trial = stand.bucket("tpm", 600), stand.bucket("trial", 60, enforce=False)
    quota = stand.quota(tpm, trial, stand.bucket("unused", 10), stand.slots("k", 2), stand.slots("none", 1))
    with await stand.ask(stand.quota(tpm, quota.slots[0]), 300) as reservation:
        await stand.use(stand.quota(trial), 30, 90)
        for _ in range(2):
            told = await stand.limiter.levels(quota)
            assert (list(told.buckets), list(told.slots)) == ([30_000_000, 90_000_000, 0], [1, 0])
        reservation.settle(Cost(1, 900))
    stand.later(10.0)
    told = await stand.limiter.levels(quota)
    assert (list(told.buckets), list(told.slots)) == ([80_000_000, 80_000_000, 0], [0, 0])
    assert told.gateways == 1


async def test_tenants_and_keys_have_buckets_of_their_own(stand: LimiterStand) -> None:
    one, other = stand.quota(stand.bucket("one", 100)), stand.quota(stand.bucket("other", 100))
    await stand.use(one, 100, 100)
    await stand.refusal(one, 1)
    await stand.use(other, 100, 100)
