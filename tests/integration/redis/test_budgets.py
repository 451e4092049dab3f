"""Money in a store that forgets, is away, comes back, and hears of things late: each request is charged once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from security.limits import script
from security.limits.api import Cost, LimitsAway, OverLimit, Quota
from security.limits.readings import Reading
from security.limits.redis_store import RedisLimiter
from tests.support.limiting import NEVER, Book, LimiterStand, shared
from tests.support.valkey import ValkeyServer
from tests.support.waiting import PATIENCE

AT = 1000.0


class Gateway(LimiterStand):
    """With a limiter whose line is at hand."""

    limiter: RedisLimiter

    async def told(self) -> None:
        """All that it has to tell."""
        assert await self.limiter._line.flush()


@asynccontextmanager
async def paying(
    valkey: ValkeyServer, book: Book, clock: list[float], deadline: float = PATIENCE, grace: float = 60.0
) -> AsyncIterator[Gateway]:
    limiter = shared(valkey.url, clock, NEVER, deadline, book, grace)
    yield Gateway(limiter, "acme", clock, book)
    await limiter.aclose()


def forget(valkey: ValkeyServer) -> None:
    with valkey.client() as client:
        client.flushall()


def age(valkey: ValkeyServer, hours: int) -> None:
    """What is known for a time, is known for so much less of it."""
    with valkey.client() as client:
        for key in client.keys("*"):
            client.pexpire(key, client.pttl(key) - 3_600_000 * hours)


async def end(stand: Gateway, quota: Quota, reservation: object, money: int) -> None:
    """It has used so much, and that is written down."""
    reservation.settle(Cost(1, money=money))  # type: ignore[attr-defined]
    stand.book.spent.update({budget.key: money for budget in quota.budgets})
    await stand.told()


async def test_what_was_under_way_as_the_store_forgot_all_is_charged_at_its_end(valkey: ValkeyServer) -> None:
    async with paying(valkey, Book(), [AT]) as stand:
        quota = stand.quota(stand.budget("day", 1000), stand.budget("month", 5000))
        await stand.spend(quota, 50, 40)
        before, failing = await stand.ask(quota, money=100), await stand.ask(quota, money=100)
        await stand.told()
        forget(valkey)
        stand.later(1.0)
        assert await stand.spent(quota) == [40, 40], "as the ledger has it"
        between = await stand.ask(quota, money=10)
        stand.later(1.0)
        await end(stand, quota, before, 70)
        await end(stand, quota, between, 9)
        await end(stand, quota, failing, 0)
        assert await stand.spent(quota) == [119, 119]
        assert set(stand.book.spent.values()) == {119}


async def test_what_is_told_twice_is_charged_once(valkey: ValkeyServer) -> None:
    async with paying(valkey, Book(), [AT]) as stand:
        quota = stand.quota(stand.budget("day", 1000))
        await stand.ask(quota, money=100)
        forget(valkey)
        stand.later(1.0)
        assert await stand.spent(quota) == [0]
        line, now = stand.limiter._line, round(stand.limiter._cashier.now())
        reservation = await stand.ask(quota, money=50)
        for _ in range(3):
            lost = script.pay(quota, reservation.decision, Cost(1, money=70), "lost", now, (now - 10**6 - 1, now + 1))
            line.tell(lost)
            assert await line.flush()
        reservation.settle(Cost(1, money=30))
        assert await stand.spent(quota) == [100]


async def test_what_was_written_down_before_it_was_read_is_not_charged_again(valkey: ValkeyServer) -> None:
    """A settling that could not be told arrives after the store came back empty, and was told what is written down."""
    clock, book = [AT], Book()
    async with paying(valkey, book, clock) as late, paying(valkey, book, clock) as other:
        quota = late.quota(late.budget("day", 1000))
        reservation = await late.ask(quota, money=100)
        reservation.settle(Cost(1, money=70))
        book.spent.update({budget.key: 70 for budget in quota.budgets})
        forget(valkey)
        other.later(1.0)
        assert await other.spent(quota) == [70]
        await late.told()
        assert await other.spent(quota) == [70]


async def test_alone_a_gateway_spends_its_part_of_what_was_left_and_it_is_charged_once(valkey: ValkeyServer) -> None:
    clock, book = [AT], Book()
    async with paying(valkey, book, clock, 0.5) as stand, paying(valkey, book, clock, 0.5) as other:
        assert await stand.limiter.beat()
        assert await other.limiter.beat()
        assert await stand.limiter.beat()
        quota = stand.quota(stand.budget("day", 1000))
        await stand.spend(quota, 200, 200)
        await stand.told()
        assert await stand.spent(quota) == [200]
        valkey.freeze()
        stand.later(1.0)
        await stand.spend(quota, 300, 250)
        await stand.spend(quota, 150, 150)
        assert (await stand.refusal(quota, money=1)).remaining == 0, "of 800 it has half"
        valkey.thaw()
        await stand.told()
        assert await other.spent(quota) == [600]


async def test_what_was_spent_alone_is_not_charged_again_by_a_store_that_came_back_empty(valkey: ValkeyServer) -> None:
    async with paying(valkey, Book(), [AT], 0.5) as stand:
        quota = stand.quota(stand.budget("day", 1000))
        await stand.spend(quota, 200, 200)
        await stand.told()
        assert await stand.spent(quota) == [200]
        valkey.stop()
        stand.later(1.0)
        await stand.spend(quota, 300, 250)
        still = await stand.ask(quota, money=100)
        stand.later(1.0)
        valkey.start()
        await stand.limiter._line.ask_patiently([])
        assert await stand.spent(quota) == [450]
        stand.later(1.0)
        await end(stand, quota, still, 60)
        assert await stand.spent(quota) == [510]


@pytest.mark.parametrize("mode", ["share", "open"])
async def test_after_a_grace_no_money_is_spent_without_the_store(valkey: ValkeyServer, mode: str) -> None:
    async with paying(valkey, Book(), [AT], 0.2, grace=0.0) as stand:
        enforced, tried = stand.budget("day", 1000), stand.budget("trial", 1000, enforce=False)
        quotas = [Quota("acme", budgets=(budget,), mode=mode) for budget in (enforced, tried)]  # type: ignore[arg-type]
        for quota in quotas:
            await stand.spend(quota, 1, 1)
        await stand.told()
        valkey.stop()
        await stand.spend(quotas[0], 1, 1)  # one that did not answer is no outage yet
        while not stand.limiter.trouble:
            await stand.spend(quotas[1], 1, 1)
        with pytest.raises(LimitsAway):
            await stand.ask(quotas[0], money=1)
        await stand.spend(quotas[1], 1, 1)
        valkey.start()


async def test_what_is_written_down_counts_where_nothing_is_known_alone(valkey: ValkeyServer) -> None:
    """Of two gateways that read it at a time, the one that is late changes nothing."""
    async with paying(valkey, Book(), [AT]) as stand:
        quota = stand.quota(stand.budget("day", 1000))
        late = script.know(quota.budgets[0], Reading(0, int(AT) * 10**6))
        await stand.spend(quota, 100, 70)
        await stand.told()
        await stand.limiter._line.ask(late)
        assert await stand.spent(quota) == [70]


async def test_of_what_nobody_knows_nothing_is_spent(valkey: ValkeyServer) -> None:
    """As in a period that has begun while the store is away."""
    async with paying(valkey, Book(), [AT], 0.2) as stand:
        valkey.stop()
        with pytest.raises(LimitsAway):
            await stand.ask(stand.quota(stand.budget("day", 1000)), money=1)
        valkey.start()


async def test_who_can_t_ask_the_ledger_is_told_so_and_nothing_is_taken(valkey: ValkeyServer) -> None:
    clock = [AT]
    limiter = shared(valkey.url, clock)
    stand = LimiterStand(limiter, "acme", clock)
    quota = stand.quota(stand.bucket("tpm", 100), stand.budget("day", 1000))
    with pytest.raises(LimitsAway):
        await stand.ask(quota, 50, money=1)
    assert await stand.remaining(quota) == [100]
    await limiter.aclose()


async def test_what_a_gateway_that_crashed_held_is_free_again(valkey: ValkeyServer) -> None:
    clock, book = [AT], Book()
    async with paying(valkey, book, clock) as crashed, paying(valkey, book, clock) as other:
        quota = crashed.quota(crashed.budget("day", 1000))
        await crashed.spend(quota, 100, 100)
        await crashed.ask(quota, money=900)
        await crashed.told()
        other.later(3600.0)
        assert (await other.refusal(quota, money=1)).remaining == 0
        other.later(3600.0)
        assert await other.spent(quota) == [100]


@pytest.mark.parametrize("hours", [1, 2, 23])
async def test_what_lasts_for_hours_is_charged_at_its_end_all_the_same(valkey: ValkeyServer, hours: int) -> None:
    async with paying(valkey, Book(), [AT]) as stand:
        quota = stand.quota(stand.budget("day", 1000))
        reservation = await stand.ask(quota, money=100)
        stand.later(3600.0 * hours)
        age(valkey, hours)
        await end(stand, quota, reservation, 70)
        assert await stand.spent(quota) == [70]


async def test_who_was_refused_is_refused_for_a_moment_without_a_question(valkey: ValkeyServer) -> None:
    async with paying(valkey, Book(), [AT]) as stand:
        quota = stand.quota(stand.bucket("tpm", 100), stand.budget("day", 1000))
        await stand.spend(quota, 990, 990)
        refusal = await stand.refusal(quota, money=20)
        with pytest.raises(OverLimit) as caught:
            stand.limiter.take(quota, Cost(1, 0, 0, 20))
        assert (caught.value.limit, caught.value.remaining) == (refusal.limit, 10)
        assert stand.limiter.take(quota, Cost(1, 0, 0, 10)) is None, "who asks for less is asked about"


async def test_a_counter_goes_a_day_after_its_period(valkey: ValkeyServer) -> None:
    async with paying(valkey, Book(), [AT]) as stand:
        quota = stand.quota(stand.budget("day", 1000))
        await stand.spend(quota, 10, 10)
        with valkey.client() as client:
            assert client.pttl(quota.budgets[0].key) in range((2 * 86_400 - 1000 - 60) * 1000, (2 * 86_400) * 1000)
            assert (client.memory_usage(quota.budgets[0].key) or 999) <= 250
