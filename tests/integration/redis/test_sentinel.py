"""The master is whoever Sentinels say, whichever of them can be asked; each new connection asks anew."""

from __future__ import annotations

import asyncio
from contextlib import ExitStack
from pathlib import Path

from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from loadtests.bench.processes import free_ports
from loadtests.quotas.sentinel import MASTER, running_sentinel, sentinel_url
from security.limits.sentinel import MasterPool, connect
from tests.support.limiting import gateway
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import until, until_told


async def test_sentinels_that_are_gone_or_silent_hide_nobody(valkey: ValkeyServer) -> None:
    (nobody,) = free_ports(1)
    with running_sentinel(valkey.port) as silent, running_sentinel(valkey.port) as alive:
        silent.freeze()
        async with gateway(sentinel_url([nobody, silent.port, alive.port]), [1000.0]) as stand:
            await until(lambda: not stand.limiter.trouble)
            quota = stand.quota(stand.bucket("tpm", 1000))
            await stand.use(quota, 400, 300)
            assert await stand.remaining(quota) == [700]
            with valkey.client() as client:
                assert client.get(quota.buckets[0].key)


async def test_however_many_ask_at_a_time_no_sentinel_is_lost(valkey: ValkeyServer) -> None:
    """The one that answers is put first by each of them, in the place of one that does not."""
    with running_sentinel(valkey.port) as silent, running_sentinel(valkey.port) as alive:
        silent.freeze()
        client = connect("redis", f"127.0.0.1:{silent.port},127.0.0.1:{alive.port}/{MASTER}", Retry(NoBackoff(), 0))
        pool = client.connection_pool
        assert isinstance(pool, MasterPool)
        try:
            known = set(map(id, pool.sentinel_manager.sentinels))
            await asyncio.gather(*(pool.get_master_address() for _ in range(3)))
            assert set(map(id, pool.sentinel_manager.sentinels)) == known
        finally:
            await client.aclose()
            await pool.aclose()


async def test_who_has_become_a_replica_is_left_for_the_new_master(tmp_path: Path) -> None:
    options = ("--dir", str(tmp_path))  # for what a replica is sent
    with ExitStack() as stack:
        old, new = (stack.enter_context(running_valkey(options=options)) for _ in range(2))
        sentinel = stack.enter_context(running_sentinel(old.port))
        async with gateway(sentinel_url([sentinel.port]), [1000.0]) as stand:
            quota = stand.quota(stand.bucket("tpm", 1000))
            await stand.use(quota, 400, 300)
            with old.client() as client:
                client.replicaof("127.0.0.1", str(new.port))
            await stand.use(quota, 100, 100)  # by this gateway's own part: nobody may write there any more
            await until(lambda: stand.limiter.trouble)
            sentinel.point_to(new.port)
            await until(lambda: not stand.limiter.trouble)
            await stand.use(quota, 200, 200)
            with new.client() as client:
                assert client.get(quota.buckets[0].key)


async def test_a_master_that_was_replaced_is_left_though_it_answers(valkey: ValkeyServer) -> None:
    with running_valkey() as new, running_sentinel(valkey.port) as sentinel:
        async with gateway(sentinel_url([sentinel.port]), [1000.0]) as stand:
            quota = stand.quota(stand.bucket("tpm", 1000))
            await stand.use(quota, 400, 300)
            sentinel.point_to(new.port)
            await until_told(lambda: stand.remaining(quota), lambda left: left == [1000])
            assert not stand.limiter._line.outages  # type: ignore[attr-defined]


async def test_sentinels_have_a_password_of_their_own() -> None:
    with running_valkey("store") as server:
        options = ["sentinel auth-pass limits store"]
        with running_sentinel(server.port, options, password="watch") as sentinel:
            url = sentinel_url([sentinel.port], ":store@", "/limits?sentinel_password=watch")
            async with gateway(url, [1000.0]) as stand:
                assert not stand.limiter.trouble
                await stand.use(stand.quota(stand.bucket("tpm", 1000)), 10, 10)
            wrong = url.replace("watch", "canary")
            async with gateway(wrong, [1000.0]) as stand:
                assert "(MasterNotFoundError)" in stand.limiter.trouble
            async with gateway(url.replace(":store@", ":canary@"), [1000.0]) as stand:
                assert "(AuthenticationError)" in stand.limiter.trouble


async def test_a_master_that_no_sentinel_knows_is_trouble(valkey: ValkeyServer) -> None:
    with running_sentinel(valkey.port) as sentinel:
        async with gateway(sentinel_url([sentinel.port], path="/canary"), [1000.0]) as stand:
            assert stand.limiter.trouble == "limits: the store that gateways share can't be asked (MasterNotFoundError)"
