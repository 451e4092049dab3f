"""A master ends, and its replica takes its place: what gateways have counted goes on from where it stood."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.quotas.replicated import Replicated, running_replicated
from security.limits.api import Cost, Quota, key
from security.limits.line import DEADLINE
from tests.support.limiting import LimiterStand, admitted, gateway
from tests.support.relay import relaying
from tests.support.valkey import running_valkey
from tests.support.valkey_cluster import running_cluster
from tests.support.waiting import until, until_told

PATIENT = 10 * DEADLINE
NOTICED_MS = 5000
"""Of the master's silence until another takes its place: what comes before that is over by then."""
BACK = 2.0
"""Seconds after which whoever is written to instead is found."""


@pytest.fixture
def stores() -> Iterator[Replicated]:
    with running_replicated(NOTICED_MS) as replicated:
        yield replicated


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_levels_slots_and_debts_outlive_the_master(stores: Replicated, how: str) -> None:
    clock = [1000.0]
    async with gateway(stores.url, clock, deadline=PATIENT) as one, gateway(stores.url, clock, deadline=PATIENT) as two:
        quota, slots = one.quota(one.bucket("tpm", 1000)), one.quota(one.slots("k", 1))
        await one.limiter.beat()  # type: ignore[attr-defined]  # sees that there are two
        await one.use(quota, 400, 400)
        assert await two.remaining(quota) == [600]
        held = await one.ask(slots)
        await asyncio.to_thread(stores.wait_for_replica)
        stores.master.kill() if how == "killed" else stores.master.freeze()
        passed = await asyncio.gather(*(admitted(stand, quota, 100) for stand in (one, two)))
        assert passed == [3, 3], "each its half of what was left"
        await asyncio.to_thread(stores.wait_for_successor)
        await until(lambda: not one.limiter.trouble and not two.limiter.trouble)
        assert await until_told(lambda: one.remaining(quota), lambda left: left == [0]) == [0]
        assert (await two.refusal(slots)).limit == slots.slots[0]
        held.settle(Cost())
        with stores.replica.client() as client:
            await until(lambda: not client.zcard(slots.slots[0].key))


async def test_a_fail_over_by_hand_loses_nobody(stores: Replicated) -> None:
    """However often it is asked meanwhile: who can't be answered is let pass by a gateway's own part."""
    async with gateway(stores.url, [1000.0], deadline=PATIENT) as stand:
        quota = stand.quota(stand.bucket("tpm", 10**9))
        stores.fail_over()
        used = 0
        while not await asyncio.to_thread(lambda: stores.succeeded):
            await stand.use(quota, 100, 100)
            used += 1
        await until_told(lambda: on_the_new(stand, stores, quota))
        assert used


@pytest.mark.parametrize("how", ["killed", "frozen"])
async def test_a_replica_takes_a_lost_nodes_place_in_a_cluster(tmp_path: Path, how: str) -> None:
    bucket = key("acme", "key", "tpm")
    with running_cluster(tmp_path, bucket) as cluster:
        async with gateway(cluster.url, [1000.0], deadline=PATIENT) as stand:
            quota = stand.quota(stand.bucket("tpm", 1000))
            assert quota.buckets[0].key == bucket
            await stand.use(quota, 400, 400)
            await asyncio.to_thread(cluster.wait_for_replica)
            cluster.master.stop() if how == "killed" else cluster.master.freeze()
            await stand.use(quota, 100, 100)
            await asyncio.to_thread(cluster.wait_for_successor)
            await stand.use(quota, 100, 100)
            with cluster.replica.client() as client:
                await until(lambda: client.get(bucket) == "1036000000 1000000000")
            await until(lambda: not stand.limiter.trouble)


async def test_an_address_that_has_come_to_lead_to_another_server_is_gone_to_anew(tmp_path: Path) -> None:
    """As names of managed stores do: whoever was their master may go on, and refuse to be written to."""
    options = ("--dir", str(tmp_path))  # for what a replica is sent
    with running_valkey(options=options) as old, running_valkey(options=options) as new:
        async with relaying(old.port) as address, gateway(f"redis://127.0.0.1:{address.port}", [1000.0]) as stand:
            quota = stand.quota(stand.bucket("tpm", 1000))
            await stand.use(quota, 400, 400)
            address.upstream = new.port
            with old.client() as client:
                client.replicaof("127.0.0.1", str(new.port))
            await stand.use(quota, 100, 100)
            with new.client() as client:
                await until(lambda: client.get(quota.buckets[0].key), seconds=10 * BACK)
            await until(lambda: not stand.limiter.trouble)


async def on_the_new(stand: LimiterStand, stores: Replicated, quota: Quota) -> bool:
    """Whether what is used now is counted there."""
    with stores.replica.client() as client:
        before = client.get(quota.buckets[0].key)
        await stand.use(quota, 100, 100)
        return client.get(quota.buckets[0].key) != before
