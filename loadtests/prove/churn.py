"""Cancelled calls do not poison the pool of upstream connections."""

from __future__ import annotations

import asyncio
import random
import time
from collections import Counter

import msgspec
import uvloop

from loadtests.bench import bodies
from loadtests.bench.generator import Plan
from loadtests.bench.processes import CONNECTING
from loadtests.bench.runner import WrongAnswerError, load, tail
from loadtests.bench.stand import Stand, stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.quiet import settle
from loadtests.prove.visitor import arrive

SECONDS = 60.0
WORKERS = 40
PATIENCE_MS = 6.0
CONNECTIONS = 16
"""Fewer than the workers, so that calls are also cancelled while there is no connection left."""
CALLS = 100
CONCURRENCIES = (10, 200)


async def churn(place: Stand) -> tuple[Counter[str], int]:
    """How the visits ended, and how many of the calls afterwards were answered well."""
    port = place.ports.public
    request = bodies.http(port, bodies.chat())
    endings: Counter[str] = Counter()
    until = time.monotonic() + SECONDS

    async def work(rng: random.Random) -> None:
        visitor = await arrive(port)
        while time.monotonic() < until:
            if not visitor.open:
                visitor = await arrive(port)
            visitor.begin(request)
            timer = asyncio.get_running_loop().call_later(rng.uniform(0, PATIENCE_MS) / 1000, visitor.leave)
            ending = await visitor.ending
            timer.cancel()
            endings[f"{ending} {visitor.status}" if ending == "answered" else ending] += 1
        visitor.transport.close()

    async with asyncio.TaskGroup() as group:
        for number in range(WORKERS):
            group.create_task(work(random.Random(number)))
    good = 0
    visitor = await arrive(port)
    for _ in range(CALLS):
        await visitor.visit(request)
        good += visitor.status == 200  # noqa: PLR2004
    visitor.transport.close()
    return endings, good


def growth() -> tuple[float, float]:
    """CPU microseconds per unary request over few and over many connections."""
    few, many = CONCURRENCIES
    with stand() as place, place.gateway() as (gateway, _):
        plan = Plan(port=place.ports.public, body=bodies.chat().decode(), connections=few, expect=tail(place))
        samples = [load(place, gateway, msgspec.structs.replace(plan, connections=count)) for count in (few, few, many)]
    if any(sample.result.errors for sample in samples):
        raise WrongAnswerError(str([sample.result.errors for sample in samples]))
    return samples[1].cpu_us, samples[2].cpu_us  # the first one was to warm up


def prove() -> Verdict:
    """P04: after 60 s of 40 clients who leave within 6 ms every call succeeds, and the pool has lost no connection."""
    with stand(connections=CONNECTIONS) as place, place.gateway() as (gateway, _):
        place.control(service_ms=1)
        endings, good = uvloop.run(churn(place))
        in_flight, running = settle(place)
        upstream = place.ports.upstream
        bars = [
            Bar("calls answered well afterwards", good, CALLS, exact=True),
            Bar("upstream connections", len(gateway.sockets_to(upstream)), CONNECTIONS),
            Bar("upstream connections that are still being made", len(gateway.sockets_to(upstream, CONNECTING)), 0),
            Bar("clients lost by the gateway", endings["lost"], 0, exact=True),
            Bar("requests in flight afterwards", in_flight, 0, exact=True),
            Bar("calls running at the upstream afterwards", running, 0, exact=True),
        ]
    few, many = growth()
    bars.append(Bar("CPU per unary request over 200 connections, x that over 10", many / few, 3.0))
    return Verdict(bars, {"endings": dict(endings), "cpu_us": {"10": few, "200": many}})
