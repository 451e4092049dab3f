"""The client's leaving reaches the model server, whenever it happens."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from functools import partial
from statistics import quantiles
from typing import Any

import uvloop

from loadtests.bench import bodies
from loadtests.bench.processes import CONNECTING, Server
from loadtests.bench.stand import Stand, stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.quiet import settle
from loadtests.prove.visitor import Visitor, arrive

REQUESTS = 50
TOKENS = 5
BAR_MS = 100.0
UNSEEN_MS = 10_000.0
"""What counts for a leaving that the upstream never saw."""
LONG_MS = 60_000
SPACING = 0.002
GLANCE = 0.001
"""Seconds between two looks at what only shows when asked."""


def p95(values: list[float]) -> float:
    return quantiles(values, n=20)[-1]


async def hold(condition: Callable[[], bool], what: str) -> None:
    """Wait for something that only shows when asked; raises `TimeoutError` naming it."""
    until = time.monotonic() + UNSEEN_MS / 1000
    while not condition():
        if time.monotonic() > until:
            raise TimeoutError(what)
        await asyncio.sleep(GLANCE)


async def while_connecting(place: Stand, gateway: Server, *, stream: bool) -> list[float]:
    """Milliseconds from each leaving until the half-made connection was given up, one visitor after the other."""
    upstream = place.ports.upstream
    place.control("/_listen", mode="backlog_full", drop=True)
    request = bodies.http(place.ports.public, bodies.chat(stream=stream))
    delays = []
    for _ in range(REQUESTS):
        visitor = await arrive(place.ports.public)
        others = gateway.sockets_to(upstream, CONNECTING)  # the gateway's own probes
        visitor.begin(request)
        async with asyncio.timeout(UNSEEN_MS / 1000):
            while not (made := gateway.sockets_to(upstream, CONNECTING) - others):
                if visitor.ending.done():
                    raise AssertionError(f"answered without an upstream: {visitor.status} {visitor.body.decode()}")
                await asyncio.sleep(GLANCE)
        visitor.leave()
        await hold(partial(one_closed, gateway, made), "the end of a connection being made")
        delays.append((time.monotonic() - visitor.left_at) * 1000)
    place.control("/_listen", mode="open")
    return delays


def one_closed(gateway: Server, sockets: set[str]) -> bool:
    """Whether a socket has been closed: a probe's may be among them, and that stays."""
    return not sockets <= gateway.sockets()


async def under_way(place: Stand, *, stream: bool, tokens: int) -> list[float]:
    """Milliseconds from each leaving until the upstream saw its connection close, all visitors there at once.

    With `tokens`, each leaves after so many; a unary answer then has come to the gateway by half.
    """
    if tokens:
        place.control(tokens=1000, ttft_ms=0, delay_ms=20, service_ms=0, fault="" if stream else "stall")
    else:
        place.control(ttft_ms=LONG_MS, service_ms=LONG_MS, fault="")
    before = place.control("/_stats")["started"]
    visitors = [await begin(place, number, stream=stream, tokens=tokens) for number in range(REQUESTS)]
    await hold(lambda: place.control("/_stats")["started"] == before + REQUESTS, "all calls at the upstream")
    if tokens and stream:
        async with asyncio.timeout(UNSEEN_MS / 1000):
            await asyncio.gather(*(visitor.ending for visitor in visitors))
    else:
        for visitor in visitors:
            visitor.leave()
            await asyncio.sleep(SPACING)
    settle(place)
    calls = place.control("/_calls")[-REQUESTS:]
    return [delay(call, visitors) for call in calls]


async def begin(place: Stand, number: int, *, stream: bool, tokens: int) -> Visitor:
    """A visitor who has asked, naming its number, and who leaves after `tokens` if it is a stream."""
    visitor = await arrive(place.ports.public)
    body = bodies.chat(stream=stream, remark=str(number))
    visitor.begin(bodies.http(place.ports.public, body), leave_after=tokens if stream else 0)
    return visitor


def delay(call: dict[str, Any], visitors: list[Visitor]) -> float:
    """Milliseconds between a visitor's leaving and the end of its call as cancelled."""
    number = int(call["body"]["messages"][0]["content"].rpartition("\n")[2])
    if call["outcome"] != "cancelled" or not visitors[number].left_at:
        return UNSEEN_MS
    return float(call["end"] - visitors[number].left_at) * 1000


async def visit_all(place: Stand, gateway: Server) -> dict[str, list[float]]:
    delays = {}
    for stream in (True, False):
        kind = "stream" if stream else "unary"
        delays[f"{kind}, before the first token"] = await under_way(place, stream=stream, tokens=0)
        delays[f"{kind}, after {TOKENS} tokens"] = await under_way(place, stream=stream, tokens=TOKENS)
        place.control(fault="")
        before = place.control("/_stats")["started"]
        delays[f"{kind}, while connecting"] = await while_connecting(place, gateway, stream=stream)
        if place.control("/_stats")["started"] != before:
            raise AssertionError("a call reached the upstream although its client had left before it was connected")
    return delays


def prove() -> Verdict:
    """A client's leaving closes the upstream's connection within 100 ms at p95, at every moment of a request."""
    with stand() as place, place.gateway() as (gateway, _):
        delays = uvloop.run(visit_all(place, gateway))
        in_flight, running = settle(place)
    bars = [Bar(f"close seen, p95 ms: {case}", p95(values), BAR_MS) for case, values in delays.items()]
    bars += [
        Bar("requests in flight afterwards", in_flight, 0, exact=True),
        Bar("calls running at the upstream afterwards", running, 0, exact=True),
    ]
    spread = {case: {"n": len(values), "ms": sorted(values)} for case, values in delays.items()}
    return Verdict(bars, {"cases": spread})
