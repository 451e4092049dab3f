"""What the store must allow, how it is reached, and what is left in it."""

from __future__ import annotations

import asyncio

import pytest

from security.limits.api import Cost, Quota, key
from security.limits.script import LASTS
from tests.support.limiting import LimiterStand, gateway, shared
from tests.support.valkey import ValkeyServer

ALLOWED = ("EVALSHA", "SCRIPT|LOAD", "GET", "MGET", "SET", "DEL", "PEXPIRE", "TIME", "ZADD", "ZCOUNT", "ZREM",
           "ZREMRANGEBYSCORE",
           "HGET", "HGETALL", "HSET", "HDEL", "HEXISTS", "HINCRBY")  # fmt: skip


async def whole_day(stand: LimiterStand) -> None:
    """Everything that the script can do."""
    quota = stand.quota(stand.bucket("tpm", 1000), stand.slots("k", 1))
    await stand.use(quota, 500, 100)
    await stand.use(quota, 100, 300)
    held = await stand.ask(quota, 100)
    assert (await stand.refusal(quota, 100)).limit == quota.slots[0]
    assert await stand.limiter.beat()  # type: ignore[attr-defined]
    held.settle(Cost(1, 100))
    stand.limiter._charge([(Quota("acme", quota.buckets), 6_000_000)])  # type: ignore[attr-defined]
    assert (await stand.remaining(quota))[0] in range(400, 410)  # the server's own clock goes on
    money = stand.quota(stand.budget("day", 1000))
    await stand.spend(money, 100, 70)
    assert await stand.spent(money) == [70]
    assert not stand.limiter.trouble


async def test_a_user_may_have_only_what_is_needed(valkey: ValkeyServer) -> None:
    with valkey.client() as client:
        allowed = [f"+{one}" for one in ALLOWED]
        assert client.acl_setuser("limits", enabled=True, passwords="+pw", keys=["snowshed:*"], commands=allowed)
    async with gateway(valkey.url.replace("//", "//limits:pw@")) as stand:
        await whole_day(stand)


async def test_who_may_nothing_is_told_of_as_trouble(valkey: ValkeyServer) -> None:
    with valkey.client() as client:
        allowed = ["+EVALSHA", "+SCRIPT|LOAD"]
        assert client.acl_setuser("limits", enabled=True, passwords="+pw", keys=["snowshed:*"], commands=allowed)
    async with gateway(valkey.url.replace("//", "//limits:pw@")) as stand:
        assert "NoPermissionError" in stand.limiter.trouble or "ResponseError" in stand.limiter.trouble
        assert "pw" not in stand.limiter.trouble
    async with gateway(valkey.url.replace("//", "//limits:wrong@")) as stand:
        assert "AuthenticationError" in stand.limiter.trouble


@pytest.mark.parametrize("tokens", [1, 900, 10**9])
async def test_p45_a_bucket_is_small_whatever_is_taken_of_it_and_goes_by_itself(
    valkey: ValkeyServer, tokens: int
) -> None:
    stand = LimiterStand(shared(valkey.url), "acme", [])
    quota = stand.quota(stand.bucket("tpm", 10**9), stand.slots("k", 2))
    with valkey.client() as client, await stand.ask(quota, tokens) as reservation:
        (bucket,), (slots,) = quota.buckets, quota.slots
        assert (client.memory_usage(bucket.key) or 999) <= 200
        assert client.pttl(bucket.key) <= (60 * tokens / 10**9 + 15) * 1000
        assert client.pttl(slots.key) <= 3 * LASTS * 1000
        reservation.settle(Cost(1, tokens))
        await stand.limiter.aclose()
        assert set(client.scan_iter()) == {bucket.key}


async def test_another_ones_key_spoils_nobody_elses_day(valkey: ValkeyServer) -> None:
    async with gateway(valkey.url, [1000.0]) as stand:
        sound, spoilt = stand.quota(stand.bucket("sound", 1000)), stand.quota(stand.slots("spoilt", 10))
        words, money = stand.quota(stand.bucket("words", 10)), stand.quota(stand.budget("day", 10**9))
        await stand.spend(money, 10, 10)
        with valkey.client() as client:
            client.lpush(spoilt.slots[0].key, "x")
            for _ in range(10):  # they travel together
                client.set(words.buckets[0].key, "two words")
                client.hset(money.budgets[0].key, "spent", "12.5")
                strangers = stand.use(spoilt, 10, 10), stand.use(words, 1, 1), stand.spend(money, 1, 1)
                await asyncio.gather(stand.use(sound, 10, 10), *strangers)
            assert client.get(sound.buckets[0].key) == "1006000000 1000000000"
        assert not stand.limiter.trouble
        assert not stand.limiter._line._failures  # type: ignore[attr-defined]


def test_all_keys_of_a_decision_lie_on_one_node() -> None:
    assert key("acme", "key", "k1", "tpm").partition("}")[0] == key("acme", "held", "x").partition("}")[0]
