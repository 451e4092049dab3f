"""Nothing grows: many thousand streams, some cancelled, some broken by the upstream."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import linear_regression

import msgspec
import uvloop

from loadtests.bench import bodies
from loadtests.bench.generator import CONTENT, DONE
from loadtests.bench.processes import Server
from loadtests.bench.runner import text
from loadtests.bench.stand import Stand, stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.keys import keyed
from loadtests.prove.quiet import settle
from loadtests.prove.visitor import Ending, Visitor, arrive

STREAMS = 20_000
WARM_UP = 5_000
WORKERS = 100
TOKENS = 30
CANCELS, FAULTS = 0.10, 0.05
FAULT_KINDS = ("reset", "status", "reset_after", "eof_clean", "eof_close", "cut", "error_event")


@dataclass
class Soak:
    """The run's state: what ended how, and the gateway's memory on the way."""

    place: Stand
    gateway: Server
    expected: bytes
    extra: str  # header lines of every request
    numbers: Iterator[int] = field(default_factory=lambda: iter(range(STREAMS)))
    endings: Counter[str] = field(default_factory=Counter)
    memory: list[tuple[int, float]] = field(default_factory=list)  # streams ended, RSS in MB

    async def run(self) -> None:
        watching = asyncio.create_task(self.watch())
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self.work())
        watching.cancel()

    async def watch(self) -> None:
        while True:
            self.memory.append((self.endings.total(), self.gateway.rss() / 1e6))
            await asyncio.sleep(0.25)

    async def work(self) -> None:
        visitor = await arrive(self.place.ports.public)
        for number in self.numbers:
            if not visitor.open:
                visitor = await arrive(self.place.ports.public)
            self.endings[await self.stream(visitor, number)] += 1
        visitor.transport.close()

    async def stream(self, visitor: Visitor, number: int) -> str:
        """One stream: whole, left or broken, by its number's chance; says how it ended.

        No prompt under which a server breaks comes twice: it would be refused.
        """
        rng = random.Random(number)
        draw, after = rng.random(), rng.randrange(1, TOKENS - 5)
        fault = rng.choice(FAULT_KINDS) if CANCELS <= draw < CANCELS + FAULTS else ""
        leave_after = after if draw < CANCELS else 0
        body = bodies.chat(stream=True, remark=f"{number} @@fault={fault},after={after}@@" if fault else "")
        request = bodies.http(self.place.ports.public, body, self.extra)
        ending = await visitor.visit(request, leave_after=leave_after)
        return self.judge(visitor, ending, fault)

    def judge(self, visitor: Visitor, ending: Ending, fault: str) -> str:
        body = visitor.body
        if ending == "left":
            return "left"
        if fault:
            told = visitor.status >= 500 or (visitor.status == 200 and b'data: {"error":' in body)  # noqa: PLR2004
            return "broken and told" if told else f"unexpected: {ending} {visitor.status} under {fault}"
        whole = visitor.status == 200 and body.endswith(DONE) and b"".join(CONTENT.findall(body)) == self.expected  # noqa: PLR2004
        return "whole" if whole else f"unexpected: {ending} {visitor.status}"


def open_in(place: Stand, gateway: Server) -> tuple[int, int]:
    """The gateway's connections to the upstream, its own probes' among them; and its other descriptors."""
    upstream = len(gateway.sockets_to(place.ports.upstream))
    return upstream, gateway.descriptors() - upstream


def prove() -> Verdict:
    """20,000 streams with 10 % cancels and 5 % upstream errors leave no memory, descriptor or connection behind."""
    with stand() as place:
        return soaked(place)


def prove_with_keys() -> Verdict:
    """With keys, too, 20,000 streams, 10 % cancelled and 5 % broken by the upstream, leave nothing behind."""
    with stand() as place:
        asking, key = keyed(place)
        return soaked(asking, f"authorization: Bearer {key}\r\n")


def soaked(place: Stand, extra: str = "") -> Verdict:
    """What all the streams leave behind, each asked for with the header lines `extra`."""
    with place.gateway() as (gateway, _):
        place.control(tokens=TOKENS, delay_ms=5)
        soak = Soak(place, gateway, text(place).encode(), extra)
        _, files = open_in(place, gateway)
        uvloop.run(soak.run())
        in_flight, running = settle(place)
        upstream, files_afterwards = open_in(place, gateway)
    warm = [sample for sample in soak.memory if sample[0] >= WARM_UP]
    slope = linear_regression(*zip(*warm, strict=True)).slope * 1000
    unexpected = sum(count for ending, count in soak.endings.items() if ending.startswith("unexpected"))
    bars = [
        Bar("RSS growth after warm-up, MB per 1,000 streams", slope, 1.0),
        Bar("streams that ended otherwise than they should", unexpected, 0, exact=True),
        Bar("requests in flight afterwards", in_flight, 0, exact=True),
        Bar("calls running at the upstream afterwards", running, 0, exact=True),
        Bar("descriptors more than before, idle upstream connections aside", files_afterwards - files, 0),
        Bar("idle upstream connections", upstream, WORKERS),
    ]
    every = max(1, len(soak.memory) // 40)
    figures = {
        "streams": soak.endings.total(),
        "endings": dict(soak.endings),
        "rss_mb": [list(sample) for sample in itertools.islice(soak.memory, 0, None, every)],
        "descriptors_before": files,
    }
    return Verdict(bars, msgspec.to_builtins(figures))
