"""Clients that leave a stream at any moment of it, and when each model saw that."""

from __future__ import annotations

import asyncio
import json
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from loadtests.triton import Entry
from tests.support.triton_stand import Journal, TritonStand

DELAY = 0.02
"""Seconds between two tokens of the answers that are left."""
LONG = 1000
"""Their tokens: twenty seconds' worth."""
_FIRST = 0.1


@dataclass(slots=True)
class Leaving:
    """One client. `heard` and `left` are on the machine's monotonic clock, as the journal's times are.

    At `heard` it began to wait for the last that it was sent: by then it had, and the gateway had counted, all before.
    """

    label: str
    heard: float
    left: float
    record: dict[str, Any] = field(default_factory=dict)
    begun: list[Entry] = field(default_factory=list)
    ended: list[Entry] = field(default_factory=list)

    @property
    def latencies(self) -> list[float]:
        """Seconds until a model ended each of its generations: none if it left before one began."""
        return [max(0.0, one.at - self.left) for one in self.ended]

    @property
    def unseen(self) -> float:
        """Seconds of which it did not hear: the gateway may have read nothing in them, as where this process stood."""
        return sum(max(0.0, one.at - self.heard) for one in self.ended)

    @property
    def uncounted(self) -> int:
        """Tokens that the models made and its record does not show."""
        return sum(one.tokens for one in self.ended) - int(self.record["completion_tokens"])


async def leave(stand: TritonStand, model: str, count: int, rng: random.Random, *, at_once: int = 10) -> list[Leaving]:
    """So many leave, each after a time of its own: from before the model has heard of it until amid its tokens."""
    places = asyncio.Semaphore(at_once)

    async def one() -> Leaving:
        async with places:
            return await _visit(stand, model, rng.uniform(0, 4 * _FIRST), abrupt=rng.random() < 0.5)

    return await asyncio.gather(*(one() for _ in range(count)))


async def _visit(stand: TritonStand, model: str, patience: float, *, abrupt: bool) -> Leaving:
    label = stand.label()
    prompt = f"Say it. @@tokens={LONG},ttft_ms={_FIRST * 1000:g},delay_ms={DELAY * 1000:g}@@"
    body = json.dumps({"model": model, "prompt": prompt, "max_tokens": LONG, "stream": True}).encode()
    reader, writer = await asyncio.open_connection("127.0.0.1", stand.gateway.port)
    writer.write(
        b"POST /v1/completions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-type: application/json\r\n"
        b"x-client-request-id: %b\r\ncontent-length: %d\r\n\r\n%b" % (label.encode(), len(body), body)
    )
    heard = waiting = time.monotonic()
    try:
        async with asyncio.timeout(patience):
            while await reader.read(65536):
                heard, waiting = waiting, time.monotonic()
    except TimeoutError:
        pass
    left = time.monotonic()
    if abrupt:
        writer.transport.abort()
    else:
        writer.close()
    return Leaving(label, heard, left)


async def settled(stand: TritonStand, journal: Journal, leavings: Sequence[Leaving], generates: str) -> None:
    """Wait until every generation has ended, and put records and entries to those whose they are."""
    stand.wait_idle()
    await journal.until(lambda entries: _running(entries, generates) == 0)
    entries = [one for one in journal.entries() if one.model == generates]
    stops = {one.number for one in entries if "stop" in one.inputs}
    for leaving in leavings:
        stand.record(leaving.label)
    records = stand.records()
    for leaving in leavings:
        leaving.record = records[leaving.label]
        own = [one for one in entries if one.id.startswith(f"{leaving.record['id']}-") and one.number not in stops]
        leaving.begun = [one for one in own if one.outcome is None]
        leaving.ended = [one for one in own if one.outcome is not None]


def _running(entries: Sequence[Entry], model: str) -> int:
    return sum(1 if one.outcome is None else -1 for one in entries if one.model == model)


def p95(values: Sequence[float]) -> float:
    return sorted(values)[int(len(values) * 0.95)]
