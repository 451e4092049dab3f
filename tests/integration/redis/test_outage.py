"""The store is frozen, stopped, restarted empty: nobody waits long, nothing passes twice, and then all is as before."""

from __future__ import annotations

import asyncio
import time
from contextlib import AbstractAsyncContextManager

import pytest

from security.limits.api import Cost, LimitsAway, Mode, NeverFits, Quota
from security.limits.line import DEADLINE
from security.limits.outbox import KEPT
from tests.support import limiting
from tests.support.limiting import LimiterStand, admitted
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until, until_told


def gateway(server: ValkeyServer, clock: list[float]) -> AbstractAsyncContextManager[LimiterStand]:
    """One that gives the store ten times as long as it would in earnest: what else runs here must not look like it."""
    return limiting.gateway(server.url, clock, deadline=10 * DEADLINE)


async def timed(stand: LimiterStand, quota: Quota) -> float:
    started = time.perf_counter()
    with await stand.ask(quota, 1):
        return time.perf_counter() - started


async def test_a_silent_store_is_waited_for_shortly_and_then_not_at_all(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000))
        await stand.use(quota, 1, 1)
        valkey.freeze()
        first = [await timed(stand, quota) for _ in range(3)]
        assert max(first) < 10 * 10 * DEADLINE
        await until(lambda: stand.limiter.trouble)
        later = [await timed(stand, quota) for _ in range(20)]
        assert sorted(later)[10] < DEADLINE
        assert stand.limiter.trouble == "limits: the store that gateways share can't be asked (TimeoutError)"
        valkey.thaw()
        await until(lambda: not stand.limiter.trouble, seconds=50)


async def test_two_gateways_share_what_is_left(valkey: ValkeyServer) -> None:
    """And no more than that, whatever they had before."""
    clock = [1000.0]
    async with gateway(valkey, clock) as one, gateway(valkey, clock) as other:
        quota = one.quota(one.bucket("tpm", 1000))
        await one.limiter.beat()  # type: ignore[attr-defined]  # sees that there are two
        await one.use(quota, 400, 400)
        assert await other.remaining(quota) == [600]
        valkey.stop()
        assert [await admitted(stand, quota, 100) for stand in (one, other)] == [3, 3]
        clock[0] += 60
        assert [await admitted(stand, quota, 100) for stand in (one, other)] == [5, 5]


async def test_meanwhile_a_look_tells_what_is_known(valkey: ValkeyServer) -> None:
    """The level that the store told last, and what has passed here since; a part of a limit drains as fast."""
    clock = [1000.0]
    async with gateway(valkey, clock) as stand, gateway(valkey, clock) as other:
        quota = stand.quota(stand.bucket("tpm", 1000), stand.slots("k", 4))
        seen = stand.quota(*quota.buckets, stand.bucket("unused", 10), *quota.slots)
        await stand.limiter.beat()  # type: ignore[attr-defined]  # sees that there are two
        await other.use(stand.quota(*quota.buckets), 200, 200)
        await stand.use(quota, 100, 100)
        before = await stand.limiter.levels(seen)
        assert (before.store, before.gateways, before.buckets, before.slots) == ("shared", 2, [18_000_000, 0], [0])
        valkey.stop()
        with await stand.ask(quota, 100):
            meanwhile = await stand.limiter.levels(seen)
        assert (meanwhile.store, meanwhile.gateways) == ("away", 2)
        assert (meanwhile.buckets, meanwhile.slots) == ([30_000_000, 0], [1])
        clock[0] += 20
        assert (await stand.limiter.levels(seen)).buckets == [0, 0]


async def test_what_passed_meanwhile_is_charged_once_the_store_is_back(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    async with gateway(valkey, clock) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000))
        await stand.use(quota, 100, 100)
        valkey.freeze()
        assert await admitted(stand, quota, 300) == 3
        valkey.thaw()
        assert await until_told(lambda: stand.remaining(quota), lambda left: left == [0]) == [0]
        clock[0] += 60
        assert await stand.remaining(quota) == [1000]


async def test_what_was_used_beyond_what_was_reserved_meanwhile_is_a_debt(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    async with gateway(valkey, clock) as stand:
        quota = stand.quota(stand.bucket("tpm", 60))
        await stand.use(quota, 1, 1)
        valkey.freeze()
        await stand.use(quota, 1, 1)
        await stand.use(quota, 10, 6000)
        valkey.thaw()
        assert await until_told(lambda: stand.remaining(quota), lambda left: left == [0]) == [0]
        assert (await stand.refusal(quota, 1)).wait == 6002 + 1 - 60


async def test_what_many_owe_is_told_bit_by_bit_and_all_of_it(valkey: ValkeyServer) -> None:
    limiter = limiting.shared(valkey.url, [1000.0])
    stand, many = LimiterStand(limiter, "acme", []), KEPT + 500
    valkey.stop()
    await limiter.start()
    assert limiter.trouble
    for number in range(many):
        await stand.use(stand.quota(stand.bucket(f"tpm{number}", 1000)), 10, 10)
    valkey.start()
    assert await limiter.beat()
    looking, turns = asyncio.create_task(limiter.look()), 0
    while not looking.done():
        await asyncio.sleep(0)
        turns += 1
    assert turns > many / 1000, "others got in between"
    await limiter.aclose()
    with valkey.client() as client:
        assert len(client.keys("*tpm*")) == many


async def test_a_store_that_comes_back_empty_is_told_what_is_known(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000), stand.slots("k", 5))
        held = await stand.ask(quota, 200)
        valkey.stop()
        assert await admitted(stand, quota, 300) == 2
        valkey.start()
        assert await until_told(lambda: stand.remaining(quota), lambda left: left == [400]) == [400]
        with valkey.client() as client:
            await until(lambda: client.zcard(quota.slots[0].key) == 1)
        held.settle(Cost(1, 0))
        assert await stand.remaining(quota) == [400], "it was lost with the store: giving back would be a gift"


async def test_a_question_that_arrives_late_is_taken_back(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = Quota("acme", (stand.bucket("tpm", 1000),), (stand.slots("k", 1),), "closed")
        await stand.use(quota, 1, 0)
        valkey.freeze()
        for _ in range(3):
            with pytest.raises(LimitsAway):
                await stand.ask(quota, 300)
        valkey.thaw()
        await until(lambda: not stand.limiter.trouble)
        assert await stand.remaining(quota) == [1000]
        await stand.use(quota, 1000, 0)


@pytest.mark.parametrize(("mode", "passes"), [("open", True), ("closed", False)])
async def test_without_the_store_all_pass_or_none(valkey: ValkeyServer, mode: Mode, passes: bool) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = Quota("acme", (stand.bucket("tpm", 1000),), (stand.slots("k", 1),), mode)
        valkey.stop()
        for _ in range(8):
            if passes:
                with await stand.ask(quota, 900), await stand.ask(quota, 900) as second:
                    second.settle(Cost(1, 900))
            else:
                with pytest.raises(LimitsAway) as away:
                    await stand.ask(quota, 900)
                assert away.value.wait == 2.0
        valkey.start()
        await until(lambda: not stand.limiter.trouble)
        assert await stand.remaining(quota) == [1000]


async def test_a_part_is_too_small_for_what_the_whole_would_hold(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand, gateway(valkey, [1000.0]):
        quota = stand.quota(stand.bucket("tpm", 1000))
        await stand.limiter.beat()  # type: ignore[attr-defined]
        valkey.stop()
        with pytest.raises(LimitsAway):
            await stand.ask(quota, 501)
        with pytest.raises(NeverFits):
            await stand.ask(quota, 1001)
        await stand.use(quota, 500, 500)


async def test_slots_hold_without_the_store_too(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = stand.quota(stand.slots("k", 3))
        before = [await stand.ask(quota) for _ in range(2)]
        valkey.stop()
        third = await stand.ask(quota)
        assert (await stand.refusal(quota)).limit == quota.slots[0]
        before[0].settle(Cost())
        fourth = await stand.ask(quota)
        valkey.start()
        with valkey.client() as client:
            await until(lambda: not stand.limiter.trouble)
            await stand.limiter.beat()  # type: ignore[attr-defined]
            assert client.zcard(quota.slots[0].key) == 3
            await stand.refusal(quota)
            for reservation in (before[1], third, fourth):
                reservation.settle(Cost())
            await until(lambda: not client.zcard(quota.slots[0].key))


async def test_two_gateways_share_slots_without_the_store(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    async with gateway(valkey, clock) as one, gateway(valkey, clock) as other:
        quota = one.quota(one.slots("k", 4))
        await one.limiter.beat()  # type: ignore[attr-defined]  # sees that there are two
        valkey.stop()
        for stand in (one, other):
            held = [await stand.ask(quota) for _ in range(2)]
            assert (await stand.refusal(quota)).limit == quota.slots[0]
            for reservation in held:
                reservation.settle(Cost())


async def test_a_flushed_script_costs_one_reload(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000))
        with valkey.client() as client:
            for round_number in range(3):
                await stand.use(quota, 100, 100)
                client.script_flush()
                assert await stand.remaining(quota) == [900 - 100 * round_number]
            assert client.info("commandstats")["cmdstat_script|load"]["calls"] <= 8
        assert not stand.limiter.trouble


async def test_a_flushed_store_gives_no_credit(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = stand.quota(stand.bucket("tpm", 1000))
        lost = [await stand.ask(quota, 300) for _ in range(3)]
        with valkey.client() as client:
            client.flushall()
        await stand.use(quota, 600, 600)
        for reservation in lost:
            reservation.settle(Cost(1, 0))
        assert await stand.remaining(quota) == [400]


async def test_it_starts_without_the_store(valkey: ValkeyServer) -> None:
    valkey.stop()
    async with gateway(valkey, [1000.0]) as stand:
        assert stand.limiter.trouble
        quota = stand.quota(stand.bucket("tpm", 1000))
        await stand.use(quota, 600, 600)
        valkey.start()
        await until(lambda: not stand.limiter.trouble)
        assert await until_told(lambda: stand.remaining(quota), lambda left: left == [400])


async def test_a_loop_that_stood_still_blames_nobody(valkey: ValkeyServer) -> None:
    async with gateway(valkey, [1000.0]) as stand:
        quota = stand.quota(stand.bucket("tpm", 100_000))
        await stand.use(quota, 1, 1)
        for _ in range(3):
            asking = asyncio.create_task(stand.ask(quota, 1))
            for _ in range(3):
                await asyncio.sleep(0)
            assert stand.limiter._line._batches  # type: ignore[attr-defined]
            time.sleep(15 * DEADLINE)  # noqa: ASYNC251  # the loop is blocked: that is the point
            (await asking).settle(Cost(1, 1))
        assert stand.limiter._line._failures == 0  # type: ignore[attr-defined]
