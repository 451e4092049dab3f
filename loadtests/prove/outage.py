"""All replicas of a model are out: what reaches them is no storm, and whoever comes back is soon asked."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import httpx2
import msgspec
import openai

from loadtests.fleet import Fleet, Settings
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.served import served

Way = Literal["refused", "500", "503"]
WAYS: tuple[Way, ...] = ("refused", "500", "503")
REPLICAS = 3
RATE = 50.0
"""Calls of the official SDK a second, with the retries that it makes unless told otherwise."""
SECONDS = 30.0
PATIENCE = 20.0
"""Seconds for which a first success is waited for."""
ATTEMPTS, BACK = 1.2, 2.0


@dataclass
class Outage:
    """`calls` were made while all were out, and cost `attempts`; `back`: seconds from their return to a success."""

    calls: int = 0
    attempts: float = 0.0
    back: float = PATIENCE
    endings: Counter[str] = field(default_factory=Counter)
    """What the calls came to, those after the return included."""

    @property
    def ratio(self) -> float:
        return self.attempts / self.calls


async def outage(way: Way, seconds: float) -> Outage:
    """Every replica out for so long, and back."""
    seen = Outage()
    async with (
        Fleet(REPLICAS, Settings(tokens=8)) as fleet,
        served([{"name": "mock", "engine": "openai", "replicas": [{"url": url} for url in fleet.urls]}]) as gateway,
        _sdk(gateway.public) as sdk,
    ):
        await _call(sdk, seen.endings)
        before = await gateway.total("snowshed_replica_calls_total")
        for replica in fleet.replicas:
            if way == "refused":
                replica.listen("refused", drop=True)
            else:
                replica.set(fault="status", status=int(way))
        async with asyncio.TaskGroup() as group:
            seen.calls = await _at_rate(group, lambda: _call(sdk, seen.endings), seconds)
        seen.attempts = await gateway.total("snowshed_replica_calls_total") - before
        for replica in fleet.replicas:
            replica.reset()
        returned, succeeded = time.monotonic(), asyncio.Event()

        async def call() -> None:
            if await _call(sdk, seen.endings) and not succeeded.is_set():
                seen.back = time.monotonic() - returned
                succeeded.set()

        async with asyncio.TaskGroup() as group:
            await _at_rate(group, call, PATIENCE, succeeded)
    return seen


@asynccontextmanager
async def _sdk(port: int) -> AsyncIterator[openai.AsyncOpenAI]:
    limits = httpx2.Limits(max_connections=None)
    async with httpx2.AsyncClient(trust_env=False, limits=limits, timeout=60) as http:
        yield openai.AsyncOpenAI(base_url=f"http://127.0.0.1:{port}/v1", api_key="none", http_client=http)


async def _call(sdk: openai.AsyncOpenAI, endings: Counter[str]) -> bool:
    """Whether it was answered. No prompt comes twice: one that keeps failing says something of itself."""
    prompt = f"Question {endings.total()} at {time.monotonic()}"
    try:
        await sdk.chat.completions.create(model="mock", messages=[{"role": "user", "content": prompt}])
    except openai.APIStatusError as refused:
        endings[f"{refused.status_code} {refused.code}"] += 1
        return False
    endings["answered"] += 1
    return True


async def _at_rate(
    group: asyncio.TaskGroup,
    call: Callable[[], Coroutine[Any, Any, object]],
    seconds: float,
    enough: asyncio.Event | None = None,
) -> int:
    """How many calls were begun."""
    start = time.monotonic()
    for number in range(int(seconds * RATE)):
        if enough is not None and enough.is_set():
            return number
        group.create_task(call())
        await asyncio.sleep(max(0.0, start + (number + 1) / RATE - time.monotonic()))
    return int(seconds * RATE)


def prove() -> Verdict:
    """All replicas out for 30 s at 50 calls a second of the SDK: attempts <= 1.2 x calls, and back within 2 s."""
    outages = {way: asyncio.run(outage(way, SECONDS)) for way in WAYS}
    bars = []
    for way, seen in outages.items():
        bars += [
            Bar(f"upstream attempts per call of the SDK, {way}", seen.ratio, ATTEMPTS),
            Bar(f"seconds from the return to the first success, {way}", seen.back, BACK),
        ]
    return Verdict(bars, {way: msgspec.to_builtins(seen) for way, seen in outages.items()})
