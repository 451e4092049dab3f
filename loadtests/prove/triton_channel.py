"""The life of a gRPC connection: long silence, many requests, and a server that was killed."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from statistics import linear_regression

import msgspec
import uvloop

from loadtests.bench import bodies
from loadtests.bench.processes import Server, free_ports, listening, wait_until
from loadtests.bench.stand import Front
from loadtests.bench.triton.stand import SERVED, Transport, fleet, fronts
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.visitor import Visitor, arrive

SILENCE = 600.0
"""Seconds; a server that speaks gRPC's C core wants no ping more often than every 300 while it says nothing."""
REQUESTS, WARM_UP, WORKERS = 20_000, 5_000, 16
KILLS = 10
DOWN = (0.2, 6.0)
"""Seconds for which a killed server stays away."""
RECOVERY = 2.0
PAUSE = 0.02
"""Seconds between two requests while the server is away."""
PATIENCE = 30.0
GOOD = 200
SMALL = bodies.chat(remark="@@tokens=1@@")


@dataclass
class Side:
    """One gateway, and what it was seen to do."""

    transport: Transport
    place: Front
    gateway: Server
    memory: list[tuple[int, float]] = field(default_factory=list)  # requests answered, RSS in MB
    recoveries: list[float] = field(default_factory=list)

    def __repr__(self) -> str:
        return f"<Side {self.transport}, {len(self.memory)} samples, {len(self.recoveries)} recoveries>"

    def connections(self) -> set[str]:
        return self.gateway.sockets_to(self.place.ports.upstream)

    async def ask(self, body: bytes = SMALL) -> Visitor:
        """A visitor that has its answer, or has lost its connection."""
        visitor = await arrive(self.place.ports.public)
        await visitor.visit(bodies.http(self.place.ports.public, body))
        visitor.transport.abort()
        return visitor


async def stay_silent(sides: list[Side]) -> list[Bar]:
    """Nothing but probes, and one call each to which nothing is ever said; the connections are the same afterwards."""
    waiting = []
    for side in sides:
        visitor = await arrive(side.place.ports.public)
        visitor.begin(bodies.http(side.place.ports.public, bodies.chat(stream=True, remark="@@fault=accept_silent@@")))
        waiting.append(visitor)
    await asyncio.sleep(1)
    before = [side.connections() for side in sides]
    await asyncio.sleep(SILENCE)
    bars = []
    for side, visitor, sockets in zip(sides, waiting, before, strict=True):
        lost = len(sockets - side.connections()) + visitor.ending.done() + (not sockets)
        bars.append(Bar(f"{side.transport}: connections and calls lost in 10 min of silence", lost, 0, exact=True))
        visitor.leave()
        status = (await side.ask()).status
        bars.append(Bar(f"{side.transport}: status of a request after the silence", status, GOOD, exact=True))
        bars.append(Bar(f"{side.transport}: connections made for it", len(side.connections() - sockets), 0, exact=True))
    return bars


async def ask_many(side: Side) -> None:
    """20,000 requests, and the gateway's memory on the way."""
    numbers: Iterator[int] = iter(range(REQUESTS))
    request = bodies.http(side.place.ports.public, SMALL)
    answered = 0

    async def work() -> None:
        nonlocal answered
        visitor = await arrive(side.place.ports.public)
        for _ in numbers:
            await visitor.visit(request)
            if visitor.status != GOOD:
                raise AssertionError(f"{visitor.status}: {visitor.body.decode()}")
            answered += 1
            if not answered % 250:
                side.memory.append((answered, side.gateway.rss() / 1e6))
        visitor.transport.abort()

    async with asyncio.TaskGroup() as group:
        for _ in range(WORKERS):
            group.create_task(work())


async def until_good(side: Side, port_open: asyncio.Future[float]) -> None:
    """Ask again and again; notes how long after the port had opened an answer was good."""
    async with asyncio.timeout(DOWN[1] + PATIENCE):
        while True:
            good = (await side.ask()).status == GOOD
            now = time.monotonic()
            if good and port_open.done():
                side.recoveries.append(max(0.0, now - port_open.result()))
                return
            await asyncio.sleep(PAUSE)


async def recover(sides: list[Side], server: Server, down: float, stack: ExitStack) -> Server:
    """Kill the server, leave it away for `down` seconds, start it again; returns the new one, which `stack` stops."""
    port, control = sides[0].place.ports.upstream, sides[0].place.ports.control
    os.kill(server.pid, signal.SIGKILL)
    wait_until(lambda: not server.alive, PATIENCE, "the server's death")
    loop = asyncio.get_running_loop()
    port_open: asyncio.Future[float] = loop.create_future()
    async with asyncio.TaskGroup() as group:
        for side in sides:
            group.create_task(until_good(side, port_open))
        await asyncio.sleep(down)
        new = stack.enter_context(fleet("llmapi", port, control))
        await asyncio.to_thread(wait_until, lambda: listening(port), PATIENCE, "the server's return", 0.002)
        port_open.set_result(time.monotonic())
    return new


async def prove_all(sides: list[Side], server: Server, stack: ExitStack) -> list[Bar]:
    bars = await stay_silent(sides)
    for side in sides:
        await ask_many(side)
    rng = random.Random(20)
    for _ in range(KILLS):
        server = await recover(sides, server, rng.uniform(*DOWN), stack)
    return bars


def prove() -> Verdict:
    """P20: a connection outlives silence and many requests, and soon finds a server that was killed and is back."""
    port, control = free_ports(2)
    long = {"first_token": 2 * SILENCE, "total": 2 * SILENCE}
    with ExitStack() as stack:
        places = stack.enter_context(fronts(port, SERVED["llmapi"], control=control, timeouts=long))
        server = stack.enter_context(fleet("llmapi", port, control))
        server.ready(lambda: listening(port))
        sides = [Side(transport, place, stack.enter_context(place.gateway())[0]) for transport, place in places.items()]
        bars = uvloop.run(prove_all(sides, server, stack))
    for side in sides:
        warm = [sample for sample in side.memory if sample[0] > WARM_UP]
        slope = linear_regression(*zip(*warm, strict=True)).slope * 1000
        bars += [
            Bar(f"{side.transport}: RSS growth after warm-up, MB per 1,000 requests", slope, 0.1),
            Bar(f"{side.transport}: s to the first success at a server that is back", max(side.recoveries), RECOVERY),
        ]
    figures = {side.transport: {"recoveries_s": side.recoveries, "rss_mb": side.memory[::4]} for side in sides}
    return Verdict(bars, msgspec.to_builtins(figures))
