"""How busy the LLM is: fresh, unknown or idle, and never idle because it is old."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

from engines.api import Capacity, Load
from engines.tensorrt_llm.package import Model
from engines.tensorrt_llm.stats import Stats

BUSY = {"numActiveRequests": 3, "numQueuedRequests": 2, "kvCacheStats": {"maxNumBlocks": 10, "usedNumBlocks": 5}}


class Llm:
    def __init__(self, *iterations: Any) -> None:
        self.iterations = list(iterations)
        self.asked = asyncio.Event()

    async def get_stats_async(self, timeout: float) -> AsyncIterator[Any]:  # noqa: ASYNC109  # as it is published
        for iteration in self.iterations:
            yield iteration
        self.asked.set()


async def after(*iterations: Any) -> tuple[Stats, list[float]]:
    now = [100.0]
    llm = Llm(*iterations)
    stats = Stats(Model(llm, {}), lambda: now[0])
    watching = asyncio.create_task(stats.run())
    try:
        await asyncio.wait_for(llm.asked.wait(), 5)
    except TimeoutError:
        pass
    finally:
        watching.cancel()
    return stats, now


async def test_the_last_iteration_counts_while_it_is_fresh() -> None:
    stats, now = await after({"iter": 1}, BUSY)
    assert stats.load(at_work=1) == Load(3, 2, 0.5)
    now[0] += 1.1
    assert stats.load(at_work=1) == Load()


async def test_without_calls_it_is_idle_whatever_was_said() -> None:
    stats, _ = await after(BUSY)
    assert stats.load(at_work=0) == Load(0, 0, None)


async def test_what_it_takes_is_known_also_while_it_says_nothing() -> None:
    stats, now = await after(BUSY | {"maxNumActiveRequests": 8})
    now[0] += 1.1
    assert stats.load(at_work=1) == Load(capacity=Capacity(8))
    assert stats.load(at_work=0) == Load(0, 0, capacity=Capacity(8))


async def test_what_is_not_told_is_not_known() -> None:
    stats, _ = await after()
    assert stats.load(at_work=1) == Load()
    stats, _ = await after({"iter": 1, "gpuMemUsage": 5})
    assert stats.load(at_work=1) == Load()
