"""A store that is away again and again, too slow, or without memory: it is as if it were away all the time."""

from __future__ import annotations

import asyncio
import time

import pytest

from security.limits.api import Cost, Mode, OverLimit, Quota
from security.limits.line import DEADLINE, LONGEST
from security.limits.outbox import KEPT
from security.limits.redis_store import RedisLimiter
from tests.support.limiting import LimiterStand, admitted, gateway
from tests.support.relay import relaying
from tests.support.valkey import ValkeyServer
from tests.support.waiting import PATIENCE, until, until_told

SLACK = 10 * DEADLINE
"""Seconds for an answer: what else runs here must not look like a store that is away."""


def limiter_of(stand: LimiterStand) -> RedisLimiter:
    assert isinstance(stand.limiter, RedisLimiter)
    return stand.limiter


async def is_back(stand: LimiterStand) -> None:
    """And what passed without it has been charged."""
    await until(lambda: not limiter_of(stand).trouble and not limiter_of(stand)._alone)


async def spent(stand: LimiterStand, quota: Quota, money: int) -> int:
    """What all pay who pass, one after the other, until one is refused."""
    paid = 0
    while True:
        try:
            (await stand.ask(quota, money=money)).settle(Cost(1, money=money))
        except OverLimit:
            return paid
        paid += money


async def test_what_passed_in_one_outage_counts_in_the_next(valkey: ValkeyServer) -> None:
    """The store answered nobody in between."""
    async with gateway(valkey.url, [1000.0], deadline=SLACK) as stand:
        quota, money = stand.quota(stand.bucket("tpm", 1000)), stand.quota(stand.budget("day", 1000))
        await stand.use(quota, 100, 100)
        await stand.spend(money, 100, 100)
        passed = []
        for _ in range(3):
            valkey.freeze()
            passed.append((await admitted(stand, quota, 300), await spent(stand, money, 300)))
            valkey.thaw()
            await is_back(stand)
        assert passed == [(3, 900), (0, 0), (0, 0)]


@pytest.mark.parametrize(("reserved", "used"), [(100, 50_000), (50_000, 100)])
async def test_who_ends_once_it_is_back_is_charged_what_they_used(
    valkey: ValkeyServer, reserved: int, used: int
) -> None:
    async with gateway(valkey.url, [1000.0], deadline=SLACK) as stand:
        quota = stand.quota(stand.bucket("tpm", 60_000))
        await stand.use(quota, 1000, 1000)
        valkey.freeze()
        held = await stand.ask(quota, reserved)
        valkey.thaw()
        await is_back(stand)
        assert await stand.remaining(quota) == [59_000 - reserved]
        held.settle(Cost(1, used))
        assert await stand.remaining(quota) == [59_000 - used]


async def test_a_gateway_that_stops_charges_what_passed_without_the_store(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    async with gateway(valkey.url, clock, deadline=SLACK) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000))
        async with gateway(valkey.url, clock, deadline=SLACK) as leaving:
            await leaving.use(quota, 100, 100)
            valkey.freeze()
            await leaving.use(quota, 300, 300)
            valkey.thaw()
        await is_back(stand)
        assert await stand.remaining(quota) == [600]


async def test_without_memory_it_is_away(valkey: ValkeyServer) -> None:
    """It still does what takes none, and must not be believed for that."""
    async with gateway(valkey.url, [1000.0], deadline=SLACK) as stand:
        limiter, quota = limiter_of(stand), stand.quota(stand.bucket("tpm", 1000))
        await stand.use(quota, 100, 100)
        with valkey.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")
            assert await admitted(stand, quota, 300) == 3
            await until(lambda: limiter.trouble)
            for _ in range(3):
                assert not await limiter.beat()
            assert await admitted(stand, quota, 300) == 0
            client.config_set("maxmemory", "0")
        await is_back(stand)
        assert await stand.remaining(quota) == [0]


async def test_too_slow_is_away(valkey: ValkeyServer) -> None:
    """Though it does answer those who wait for longer."""
    way = relaying(valkey.port)
    async with way as slow, gateway(f"redis://127.0.0.1:{slow.port}", [1000.0], deadline=2 * DEADLINE) as stand:
        limiter, quota = limiter_of(stand), stand.quota(stand.bucket("tpm", 1000))
        await stand.use(quota, 100, 100)
        slow.delay = 1.2 * DEADLINE  # either way
        assert await admitted(stand, quota, 100) == 9
        await until(lambda: limiter.trouble)
        await until_told(limiter.beat)
        assert limiter.trouble
        assert await admitted(stand, quota, 100) == 0
        slow.delay = 0.0
        await is_back(stand)
        assert await stand.remaining(quota) == [0]


async def test_an_outage_goes_on_until_a_request_was_answered(valkey: ValkeyServer) -> None:
    """So that budgets close in time, however often it seems to be over."""
    async with gateway(valkey.url, [1000.0], deadline=SLACK) as stand:
        line, quota = limiter_of(stand)._line, stand.quota(stand.bucket("tpm", 1000))
        began = []
        for is_asked in (False, True, False):
            valkey.freeze()
            while not line.trouble:
                (await stand.ask(quota, 1)).settle(Cost(1, 1))
            began.append(line.since)
            valkey.thaw()
            await is_back(stand)
            if is_asked:
                (await stand.ask(quota, 1)).settle(Cost(1, 1))
        assert line.outages == 3
        assert began[0] == began[1] < began[2]


async def test_nobody_waits_for_ever_while_the_loop_is_busy(valkey: ValkeyServer) -> None:
    """Each of its turns is as if it had stood still."""
    async with gateway(valkey.url, deadline=DEADLINE) as stand:
        quota = stand.quota(stand.bucket("tpm", 10**6))
        valkey.freeze()
        asking, began = asyncio.create_task(stand.ask(quota, 1)), time.monotonic()
        while not asking.done() and time.monotonic() < began + PATIENCE:
            time.sleep(0.02)  # noqa: ASYNC251  # that is the point
            await asyncio.sleep(0)
        assert time.monotonic() - began < 10 * LONGEST * DEADLINE
        await asking
        valkey.thaw()


@pytest.mark.parametrize("mode", ["share", "open"])
async def test_whatever_many_have_spent_without_it_is_charged(valkey: ValkeyServer, mode: Mode) -> None:
    """More than there are messages that are kept."""
    async with gateway(valkey.url, [1000.0], deadline=SLACK) as stand:
        budget = stand.budget("day", 10**9)
        quota, many = Quota("acme", mode=mode, budgets=(budget,)), KEPT + 1000
        await stand.spend(quota, 1, 1)
        stand.later(1)
        valkey.freeze()
        await until_told(lambda: stand.spend(quota, 1, 1), lambda _: limiter_of(stand).trouble)
        for _ in range(many):
            await stand.spend(quota, 1, 1)
        valkey.thaw()
        assert stand.book.spent[budget.key] > many
        await until_told(lambda: stand.spent(quota), lambda spent: spent == [stand.book.spent[budget.key]])


async def test_money_that_is_held_without_it_is_held_once_it_is_back(valkey: ValkeyServer) -> None:
    async with gateway(valkey.url, [1000.0], deadline=SLACK) as stand:
        quota = stand.quota(stand.budget("day", 1000))
        await stand.spend(quota, 10, 10)
        stand.later(1)
        valkey.freeze()
        held = [await stand.ask(quota, money=100) for _ in range(9)]
        valkey.thaw()
        await is_back(stand)
        assert await stand.spent(quota) == [910]
        await stand.refusal(quota, money=100)
        stand.later(1)
        for one in held:
            one.settle(Cost(1, money=70))
        assert await stand.spent(quota) == [640]


async def test_who_was_let_in_in_one_outage_and_ends_in_another_pays_when_that_is_over(valkey: ValkeyServer) -> None:
    """Though nobody else was let in by then."""
    async with gateway(valkey.url, [1000.0], deadline=SLACK) as stand:
        quota = Quota("acme", mode="open", budgets=(stand.budget("day", 1000),))
        await stand.spend(quota, 10, 10)
        stand.later(1)
        valkey.freeze()
        held = await stand.ask(quota, money=100)
        valkey.thaw()
        await is_back(stand)
        valkey.freeze()
        while not limiter_of(stand).trouble:
            await limiter_of(stand).beat()
        held.settle(Cost(1, money=70))
        valkey.thaw()
        await until(lambda: not limiter_of(stand).trouble)
        await until_told(lambda: stand.spent(quota), lambda spent: spent == [80])
