"""P13, P24: a server is as well as its work, whatever its probes answer; and a probe never is work."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from loadtests.prove.traffic import WHOLE, traffic
from tests.support import plain
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.standing import changes, pool_of
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.trio import TIMEOUTS, Trio
from tests.support.triton_stand import behind
from tests.support.waiting import until, until_told

SOON = 3.0
TIMER = 0.5
LONG = 200
"""Tokens of an answer that is never over before its client has left."""
HANGING: dict[str, dict[str, Any]] = {"openai": {"fault": "accept_silent"}, "triton": {"wedged": True}}
"""What makes a server answer its probes and nothing else."""


@contextmanager
def serving(
    engine: str, replicas: int, folder: Path, timeouts: dict[str, float]
) -> Iterator[tuple[RunningGateway, SpawnedFleet]]:
    """One model, `mock`, over simulated servers of that kind, each of which a probe has found ready."""
    with spawn_fleet(replicas, "tokens=12,delay_ms=5", contract="llmapi") as fleet:
        model: dict[str, Any] = {"name": "mock", "engine": engine, "replicas": [{"url": url} for url in fleet.urls]}
        if engine == "triton":
            tokenizer = write_tiny_tokenizer(folder)
            model = behind("mock", tokenizer, *({"url": to, "model": "tensorrt_llm"} for to in fleet.targets))
        with running_gateway(configuration(models=[model], timeouts=timeouts)) as gateway:
            gateway.wait_until(lambda: not any(replica.verdict for replica in pool_of(gateway, "mock").replicas))
            yield gateway, fleet


def readiness(gateway: RunningGateway) -> tuple[int, list[str]]:
    answer = plain.get(f"{gateway.ops_url}/readyz")
    return answer.status_code, answer.json().get("reasons", [])


@pytest.mark.parametrize("engine", HANGING)
async def test_p13_a_server_that_is_ready_but_hangs_is_found_out_and_readyz_says_why(
    engine: str, tmp_path: Path
) -> None:
    with serving(engine, 1, tmp_path, {"first_token": TIMER}) as (gateway, fleet), traffic(gateway.port, "mock") as one:
        (server,), (replica,) = fleet.replicas, pool_of(gateway, "mock").replicas
        assert server.stats()["started"] == 0, "probes are no calls"
        server.set(**HANGING[engine])
        await one.trickle(20, SOON, lambda: replica.breaker.state == "ejected")
        assert one.endings == {"upstream_timeout"}
        assert replica.verdict == "", "its probes know of nothing"
        assert readiness(gateway) == (503, ["model mock: ejected: 3 failures in a row"])
        assert (await one.ask()).ending == "upstream_timeout", "the only one there is, is still asked"
        server.reset()

        async def asked() -> tuple[int, list[str]]:
            assert (await one.ask()).ending == WHOLE
            return readiness(gateway)

        await until_told(asked, lambda told: told == (200, []))


async def test_p13_servers_that_are_slow_but_work_are_not_ejected(trio: Trio) -> None:
    """Nor is one that takes twice as long as the others."""
    trio.set(ttft_ms=1500)
    trio.fleet.replicas[0].set(ttft_ms=3000)
    heard = changes(trio.pool)
    with traffic(trio.port, "mock", stream=True) as clients:
        await clients.trickle(30, 5.0)
    assert clients.endings == {WHOLE}
    assert min(replica.calls for replica in trio.replicas) > 10
    assert heard == []


async def test_p13_a_replica_that_awaits_its_probe_is_not_asked_for_one(trio: Trio) -> None:
    first = trio.replicas[0]
    trio.gateway.run(lambda: trio.pool.eject(first, 0.1))
    await until(lambda: first.breaker.state == "probing")
    assert readiness(trio.gateway) == (200, [])
    assert [replica.stats()["started"] for replica in trio.fleet.replicas] == [0, 0, 0]


async def test_p24_a_server_that_a_burst_of_cancellations_has_silenced_is_left_alone(tmp_path: Path) -> None:
    with serving("triton", 3, tmp_path, TIMEOUTS) as (gateway, fleet), traffic(gateway.port, "mock") as clients:
        pool, server = pool_of(gateway, "mock"), fleet.replicas[0]
        wedged = pool.replicas[0]
        server.set(wedge_cancels=5, delay_ms=50)
        heard, began = changes(pool), asyncio.get_running_loop().time()
        with traffic(gateway.port, "mock", stream=True, tokens=LONG) as fickle:
            burst = asyncio.gather(*(fickle.leave_early(f"tokens={LONG}") for _ in range(30)))
            async with asyncio.TaskGroup() as group:
                for _ in range(int(100 * 10 * SOON)):
                    if wedged.breaker.state == "ejected":
                        break
                    group.create_task(clients.ask())
                    await asyncio.sleep(0.01)  # time that was lost is not made up for in one burst
            await burst  # who was silenced before a first token has had one from elsewhere
        assert [(change.replica, change.after) for change in heard] == [(wedged.name, "ejected")]
        assert heard[0].at - began <= 10 * SOON, "on a busy machine"
        assert clients.endings == {WHOLE}
        assert wedged.verdict == ""
