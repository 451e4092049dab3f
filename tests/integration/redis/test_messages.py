"""What the store is told after the fact it is told once while all goes well, and all of it when it does not."""

from __future__ import annotations

import asyncio

from security.limits.api import Cost
from tests.support.limiting import LimiterStand, gateway, shared
from tests.support.valkey import ValkeyServer
from tests.support.waiting import until

CALLERS, ROUNDS = 300, 5


async def test_each_request_is_one_question_and_one_message(valkey: ValkeyServer) -> None:
    """With several batches on their way at a time, each of which takes messages along."""
    limiter = shared(valkey.url, [1000.0])
    stand = LimiterStand(limiter, "acme", [1000.0])
    quota = stand.quota(stand.bucket("tpm", 10**9), stand.slots("k", CALLERS))

    async def caller() -> None:
        for _ in range(ROUNDS):
            await stand.use(quota, 10, 7)

    await asyncio.gather(*(caller() for _ in range(CALLERS)))
    await limiter.aclose()
    with valkey.client() as client:
        stats = client.info("commandstats")["cmdstat_evalsha"]
        assert stats["calls"] - stats["failed_calls"] == 2 * CALLERS * ROUNDS
        assert not client.exists(quota.slots[0].key)
    assert len(limiter._line._outbox) == 0


async def test_messages_of_a_batch_that_failed_are_told_later(valkey: ValkeyServer) -> None:
    limiter = shared(valkey.url, [1000.0], deadline=0.5)
    stand, box = LimiterStand(limiter, "acme", [1000.0]), limiter._line._outbox
    quota = stand.quota(stand.bucket("tpm", 100_000))
    held = [await stand.ask(quota, 100) for _ in range(50)]
    valkey.freeze()
    for reservation in held:
        reservation.settle(Cost(1, 40))
    assert len(box) == 50
    with await stand.ask(quota, 1):  # takes them along, and passes without an answer
        assert len(box) == 51, "and what was asked is to be taken back"
    valkey.thaw()
    assert await limiter._line.flush()
    assert len(box) == 0
    assert await stand.remaining(quota) == [100_000 - 50 * 40]
    await limiter.aclose()


async def test_messages_are_not_lost_with_whoever_tells_them(valkey: ValkeyServer) -> None:
    limiter = shared(valkey.url, [1000.0])
    stand, line = LimiterStand(limiter, "acme", [1000.0]), limiter._line
    quota = stand.quota(stand.bucket("tpm", 1000))
    await stand.use(quota, 400, 100)
    valkey.freeze()
    telling = asyncio.create_task(line.flush())
    await until(lambda: "1 under way" in repr(line))
    telling.cancel()
    await asyncio.wait([telling])
    assert telling.cancelled()
    assert "1 waiting, 0 under way" in repr(line)
    valkey.thaw()
    await limiter.aclose()
    async with gateway(valkey.url, [1000.0]) as other:
        assert await other.remaining(quota) == [900]
