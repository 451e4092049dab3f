"""Whoever leaves while the store answers leaves nothing behind in it, and disturbs nobody else's answer."""

from __future__ import annotations

import asyncio
import random
from contextlib import suppress

import pytest

from security.limits.api import Cost, OverLimit, Quota
from tests.support.interrupting import Interrupting, When
from tests.support.limiting import LimiterStand, gateway
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until


async def pass_through(stand: LimiterStand, quota: Quota) -> None:
    with await stand.ask(quota, 400) as reservation:
        await asyncio.sleep(0)
        reservation.settle(Cost(1, 0))


@pytest.mark.parametrize("when", ["waiting", "ready"])
async def test_a_cancellation_at_any_await_leaves_nothing_held(valkey: ValkeyServer, when: When) -> None:
    clock = [1000.0]
    async with gateway(valkey.url, clock) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000), stand.slots("k", 1))
        at = 1
        while True:
            interrupting = Interrupting(pass_through(stand, quota), at, when)
            with suppress(asyncio.CancelledError):
                await asyncio.create_task(interrupting.run())
            assert await stand.remaining(quota) == [1000], f"cancelled at {at}"
            await pass_through(stand, quota)  # the slot is free again
            if interrupting.suspensions < at:
                break
            at += 1
        assert at > 2
    with valkey.client() as client:
        assert not client.keys("*slots*")
        assert not [name for name in client.keys("*held*") if client.get(name) != "barred"]


@pytest.mark.parametrize("when", ["waiting", "ready"])
async def test_a_cancellation_at_any_await_holds_no_money(valkey: ValkeyServer, when: When) -> None:
    """Also while the ledger is asked, as the store knows nothing yet."""
    async with gateway(valkey.url, [1000.0]) as stand:
        quota = stand.quota(stand.budget("day", 1000), stand.budget("month", 1000))

        async def buy() -> None:
            with await stand.ask(quota, money=900) as reservation:
                await asyncio.sleep(0)
                reservation.settle(Cost(1, money=0))

        at = 1
        while True:
            with valkey.client() as client:
                client.delete(*(budget.key for budget in quota.budgets))
            interrupting = Interrupting(buy(), at, when)
            with suppress(asyncio.CancelledError):
                await asyncio.create_task(interrupting.run())
            assert await stand.spent(quota) == [0, 0], f"cancelled at {at}"
            if interrupting.suspensions < at:
                break
            at += 1
        assert at > 6


async def test_p34_cancelled_calls_never_get_each_others_answers(valkey: ValkeyServer) -> None:
    chance = random.Random(34)
    async with gateway(valkey.url, [1000.0]) as stand:

        async def one(number: int) -> bool:
            quota = stand.quota(stand.bucket(f"bucket{number}", 10_000))
            with await stand.ask(quota, number) as reservation:
                assert [standing.remaining for standing in reservation.standings] == [10_000 - number]
            return True

        async def left_early(number: int) -> bool:
            asking = asyncio.create_task(one(number))
            for _ in range(chance.randrange(8)):
                await asyncio.sleep(0)
            asking.cancel()
            return (await asyncio.gather(asking, return_exceptions=True))[0] is True

        whole = 0
        for begin in range(1, 2001, 20):
            answers = await asyncio.gather(
                *(left_early(number) if chance.random() < 0.5 else one(number) for number in range(begin, begin + 20))
            )
            whole += sum(answers)
        assert 900 < whole < 2000
        for number in range(1, 2001, 97):
            assert await stand.remaining(stand.quota(stand.bucket(f"bucket{number}", 10_000))) == [10_000]
        assert not stand.limiter.trouble


async def test_whoever_leaves_before_the_question_is_sent_costs_nobody_anything(valkey: ValkeyServer) -> None:
    async with gateway(valkey.url, [1000.0]) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000))
        asking = [asyncio.create_task(stand.ask(quota, 600)) for _ in range(10)]
        await asyncio.sleep(0)
        for one in asking[:-1]:
            one.cancel()
        with await asking[-1] as reservation:
            assert [standing.remaining for standing in reservation.standings] == [400]
            with pytest.raises(OverLimit):
                await stand.ask(quota, 600)


async def test_whoever_leaves_while_a_busy_limit_is_asked_about_leaves_it_full(valkey: ValkeyServer) -> None:
    """Else a few who hang up would take a minute's worth from all keys of their tenant."""
    async with gateway(valkey.url, [1000.0], busy=0) as stand:
        quota = stand.quota(stand.bucket("tpm", 6000))
        assert await stand.remaining(quota) == [6000]
        valkey.freeze()
        asking = [asyncio.create_task(stand.ask(quota, 10)) for _ in range(100)]
        line = stand.limiter._line  # type: ignore[attr-defined]
        await until(lambda: line._batches)
        for one in asking:
            one.cancel()
        await asyncio.wait(asking)
        valkey.thaw()
        await until(lambda: not line._outbox)  # some of it may be on its way already
        assert await stand.remaining(quota) == [6000]
