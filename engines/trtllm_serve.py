"""What `trtllm-serve` has beside the OpenAI API: its own word on its health, and two ways to learn its load.

`GET /metrics` is a list of iterations that empties as it is read, and may take two seconds to find that there is
nothing: there must be one reader only. `GET /prometheus/metrics` exists only where the server collects request
metrics, which in older versions leaves the list empty for ever; its names have had a prefix since 2026.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import msgspec

from engines.api import Capacity, EngineError, Failed, Health, Load, Surroundings
from engines.gauges import gauges
from engines.http import Pool
from engines.load import LoadWatch, capacity

EVERY = 0.5
"""Seconds between two questions for the load: half of what it stays true for."""
RUNNING = ("trtllm_num_requests_running", "num_requests_running")
WAITING = ("trtllm_num_requests_waiting", "num_requests_waiting")
KV_USED = ("trtllm_kv_cache_utilization", "kv_cache_utilization")
REQUESTS = "trtllm_max_num_active_requests"
BLOCKS = "trtllm_kv_cache_max_blocks"
BLOCK = "trtllm_kv_cache_tokens_per_block"
"""These three only servers of 2026 have."""
NAMES = (*RUNNING, *WAITING, *KV_USED, REQUESTS, BLOCKS, BLOCK)


class TrtllmServe:
    """Asks the server at `origin` (scheme, host, port) what only it can say, on connections of its own."""

    def __init__(self, origin: str, surroundings: Surroundings, headers: Mapping[str, str]) -> None:
        self._pool = Pool(origin, surroundings, connections=4)
        self._headers = headers
        self._gauges = True  # until the server turns out to have none
        clock = asyncio.get_running_loop().time
        self._watch = LoadWatch(self._read, clock, name=self._pool.authority.decode(), every=EVERY)

    def __repr__(self) -> str:
        return f"<TrtllmServe {self._pool.authority.decode()} {self._watch!r}>"

    @property
    def load(self) -> Load | None:
        return self._watch.load

    @property
    def capacity(self) -> Capacity | None:
        """What it last said that it takes at a time."""
        return self._watch.capacity

    async def probe(self) -> Health:
        """`/health` is 503 once the engine has died. It stays 200 for one that hangs, which only calls can find out;
        `/health_generate` would, but takes a place in the very queue it asks about.
        """
        try:
            status, _ = await self._pool.fetch("GET", "/health", headers=self._headers)
        except EngineError as error:
            return Health(ready=False, reason=error.message)
        return Health(status == 200, "" if status == 200 else f"The health check answered {status}.")

    async def aclose(self) -> None:
        await self._watch.aclose()
        await self._pool.aclose()

    async def _read(self) -> Load | None:
        if self._gauges:
            status, page = await self._pool.fetch("GET", "/prometheus/metrics", headers=self._headers)
            if status == 200:
                return from_gauges(page)
            if status != 404:
                raise Failed(f"Prometheus' metrics were answered with {status}.")
            self._gauges = False
        status, page = await self._pool.fetch("GET", "/metrics", headers=self._headers)
        if status == 200:
            return from_iterations(page)
        raise Failed(f"The list of iterations was answered with {status}.")


class _Blocks(msgspec.Struct, rename="camel"):
    max_num_blocks: float = 0
    used_num_blocks: float = 0
    tokens_per_block: float = 0


class Iteration(msgspec.Struct, rename="camel"):
    """One turn of TensorRT-LLM's own loop, as it tells it; members come and go with versions and backends."""

    num_active_requests: int | None = None
    num_queued_requests: int | None = None
    max_num_active_requests: int | None = None
    kv_cache_stats: _Blocks | None = None

    def load(self) -> Load:
        blocks = self.kv_cache_stats or _Blocks()
        kv_used = min(1.0, blocks.used_num_blocks / blocks.max_num_blocks) if blocks.max_num_blocks > 0 else None
        takes = capacity(self.max_num_active_requests, blocks.max_num_blocks, blocks.tokens_per_block)
        return Load(self.num_active_requests, self.num_queued_requests, kv_used, takes)


_decode = msgspec.json.Decoder(list[Iteration]).decode


def from_iterations(page: bytes) -> Load | None:
    """The last of the iterations; None if there was none, which an idle server and a stuck one have in common.

    Raises ValueError.
    """
    try:
        iterations = _decode(page)  # msgspec's errors are ValueErrors
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    return iterations[-1].load() if iterations else None


def from_gauges(page: bytes) -> Load | None:
    """The same from Prometheus' text; None if none of the names is there. Raises ValueError."""
    found = {name: value for name, _, value in gauges(page, NAMES)}
    running, waiting, kv_used = (
        next((found[name] for name in names if name in found), None) for names in (RUNNING, WAITING, KV_USED)
    )
    if running is None and waiting is None and kv_used is None:
        return None
    return Load(
        None if running is None else int(running),
        None if waiting is None else int(waiting),
        None if kv_used is None else min(1.0, kv_used),
        capacity(found.get(REQUESTS), found.get(BLOCKS), found.get(BLOCK)),
    )
