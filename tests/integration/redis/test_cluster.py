"""A cluster keeps all limits of a tenant on one node, so that they can be decided upon together."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.bench.processes import free_ports
from tests.support.limiting import LimiterStand, gateway
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import wait_until


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[ValkeyServer]:
    """Of one node, which is all that can be told of it: who asks for keys of several slots is refused as in any."""
    (bus,) = free_ports(1)  # else ten thousand above its own, where there may be none, or another's
    options = ("--cluster-enabled", "yes", "--cluster-port", str(bus), "--dir", str(tmp_path))
    with running_valkey(options=options) as server:
        with server.client() as client:
            client.cluster("ADDSLOTS", *range(16384))
            wait_until(lambda: client.cluster("INFO")["cluster_state"] == "ok")
        yield server


async def test_a_gateway_starts_while_its_cluster_is_away(cluster: ValkeyServer) -> None:
    cluster.stop()
    async with gateway(cluster.url.replace("redis:", "redis+cluster:")) as stand:
        assert stand.limiter.trouble
        with await stand.ask(stand.quota(stand.bucket("tpm", 1000)), 900):
            pass  # by this gateway's part


async def test_limits_hold_in_a_cluster(cluster: ValkeyServer) -> None:
    async with gateway(cluster.url.replace("redis:", "redis+cluster:"), [1000.0]) as stand:
        stands = [LimiterStand(stand.limiter, f"tenant{number}", [1000.0]) for number in range(20)]
        quotas = [one.quota(one.bucket("tpm", 1000), one.bucket("more", 6000), one.slots("k", 1)) for one in stands]
        await asyncio.gather(*(one.use(quota, 500, 100) for one, quota in zip(stands, quotas, strict=True)))
        for one, quota in zip(stands, quotas, strict=True):
            assert await one.remaining(quota) == [900, 5900]
            assert (await one.limiter.levels(quota)).buckets == [6_000_000, 1_000_000]
            with await one.ask(quota, 900):
                assert (await one.refusal(quota, 1)).limit in (quota.slots[0], quota.buckets[0])
        assert (await stand.limiter.levels(stand.quota())).store == "shared"
        assert not stand.limiter.trouble
