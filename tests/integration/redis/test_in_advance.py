"""What a gateway has taken of a busy limit in advance is used before it refuses, and is no way out of a debt."""

from __future__ import annotations

import asyncio
import hashlib
from contextlib import AsyncExitStack, aclosing
from typing import Any

from redis.asyncio import Connection, Redis

from security.limits import script
from security.limits.api import Cost, OverLimit, Quota
from security.limits.leases import BUSY
from tests.support.limiting import LimiterStand, shared
from tests.support.valkey import ValkeyServer


async def passes(stand: LimiterStand, quota: Quota, tokens: int = 1) -> int:
    """Whether a request of so many does that, which it keeps."""
    try:
        await stand.ask(quota, tokens)
    except OverLimit:
        return 0
    return 1


async def test_of_many_at_the_same_time_as_many_pass_as_there_is_room_for(valkey: ValkeyServer) -> None:
    """Each question takes more than it needs, and those behind it are refused by the store before they know of that."""
    clock = [1000.0]
    async with AsyncExitStack() as opened:
        limiters = [await opened.enter_async_context(aclosing(shared(valkey.url, clock, BUSY))) for _ in range(2)]
        one, other = (LimiterStand(limiter, "acme", clock) for limiter in limiters)
        quota = one.quota(one.bucket("tpm", 60))
        passed = await asyncio.gather(*(passes(stand, quota) for stand in (one, other) for _ in range(300)))
    assert sum(passed) == 60


class Unlearned(Connection):
    """Of many runs of the script that go together, all but the last twenty name one that the server has not."""

    async def send_packed_command(self, command: Any, check_health: bool = True) -> None:
        runs = command.count(b"EVALSHA")
        if runs > 20 and b"LOAD" not in command:
            name = hashlib.sha1(script.text().encode(), usedforsecurity=False).hexdigest().encode()
            command = command.replace(name, b"0" * len(name), runs - 20)
        await super().send_packed_command(command, check_health)


async def test_as_many_pass_if_the_store_gets_to_know_the_script_in_between(valkey: ValkeyServer) -> None:
    """Of those who ask together the last are answered first then, and the first of them are refused."""
    clock = [1000.0]
    client = Redis.from_url(valkey.url, protocol=2)
    client.connection_pool.connection_class = Unlearned
    async with aclosing(shared(client, clock, BUSY)) as limiter:
        stand = LimiterStand(limiter, "acme", clock)
        quota = stand.quota(stand.bucket("tpm", 60))
        assert sum(await asyncio.gather(*(passes(stand, quota) for _ in range(20)))) == 20
        assert sum(await asyncio.gather(*(passes(stand, quota) for _ in range(60)))) == 40


async def test_who_asks_for_more_than_is_left_keeps_nobody_else_from_it(valkey: ValkeyServer) -> None:
    clock = [1000.0]
    async with aclosing(shared(valkey.url, clock, busy=0)) as limiter:
        stand = LimiterStand(limiter, "acme", clock)
        quota = stand.quota(stand.bucket("tpm", 60_000))
        await stand.use(quota, 20_000, 20_000)
        await limiter.look()  # gives back nearly all that was taken in advance with it
        for _ in range(10):
            assert await passes(stand, quota, 400)
            assert not await passes(stand, quota, 58_000)
            stand.later(0.1)


async def test_what_is_used_beyond_what_was_taken_in_advance_is_a_debt(valkey: ValkeyServer) -> None:
    """Else who is always at their limit had for nothing what their answers are longer than expected."""
    clock = [1000.0]
    stand = LimiterStand(shared(valkey.url, clock, busy=0), "acme", clock)
    quota = stand.quota(stand.bucket("tpm", 60))
    held = [await stand.ask(quota, 5) for _ in range(12)]
    for one in held:
        one.settle(Cost(1, 50))
    await stand.limiter._line.flush()  # type: ignore[attr-defined]
    refusal = await stand.refusal(quota, 1)
    assert refusal.wait == 12 * 50 + 1 - 60
    await stand.limiter.aclose()


async def test_p17_who_waits_as_long_as_told_is_let_in_at_a_busy_limit_too(valkey: ValkeyServer) -> None:
    """Where room gathers for a while before anybody gets any of it."""
    clock = [1000.0]
    stand = LimiterStand(shared(valkey.url, clock, BUSY), "acme", clock)
    quota = stand.quota(stand.bucket("tpm", 600))
    refused = 0
    while refused < 100:
        try:
            (await stand.ask(quota, 1)).settle(Cost(1, 1))
        except OverLimit as over:
            refused += 1
            stand.later(over.wait)
            (await stand.ask(quota, 1)).settle(Cost(1, 1))
    await stand.limiter.aclose()
