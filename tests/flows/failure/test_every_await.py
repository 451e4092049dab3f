"""A cancellation at every await of the request path, for every way through it, leaves nothing held and one record."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, cast

import msgspec
import pytest
import uvloop

from engines.openai import OpenAIEngine
from gateway.config import check
from gateway.exchange import Exchange
from gateway.intake import Intake
from gateway.wiring import Gateway, build
from loadtests.fleet import Fleet
from tests.support.asking import body
from tests.support.gateway import ROOT
from tests.support.interrupting import Interrupting, When
from tests.support.stand import two_models
from tests.support.waiting import until

HEADERS = {b"host": b"127.0.0.1", b"content-type": b"application/json"}


class SlowWire:
    """A way out that makes every writer wait."""

    paused = True
    backlog = 0

    def __init__(self) -> None:
        self.status = 0
        self.written = b""
        self.ended = self.aborted = False

    def open(self, status: int, lines: bytes, length: int | None, *, close: bool = False) -> None:
        self.status = status

    def write(self, data: bytes) -> bool:
        self.written += data
        return False

    async def drain(self) -> None:
        await asyncio.sleep(0)

    def end(self) -> None:
        self.ended = True

    def abort(self) -> None:
        self.aborted = True


class PatientSource:
    """A body's source that is never in a hurry."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def send_continue(self) -> None: ...


@dataclass(slots=True)
class Way:
    """A way through the request path: what is asked, of an upstream in which state."""

    model: str = "lone"
    stream: bool = False
    directive: str = "tokens=3"
    fault: str = ""
    reused: bool = False
    body_late: bool = False
    most: int | None = None
    """Tokens that its caller's limits leave for the answer."""


WAYS = {
    "unary": Way(),
    "stream": Way(stream=True, directive="tokens=4,delay_ms=1"),
    "fails_over": Way("mock", stream=True, fault="reset"),
    "fails_over_unary": Way("mock", fault="eof_close"),
    "silent": Way("mock", stream=True, fault="status"),
    "broken_midway": Way(stream=True, directive="fault=cut,after=2"),
    "refused": Way(directive="fault=status,status=400"),
    "body_late": Way(body_late=True),
    "reused": Way(reused=True),
    "cut": Way(stream=True, directive="tokens=50,delay_ms=1,heeds_cap=false", most=2),
    "stale": Way(reused=True, directive="fault=close_reuse"),
}


@dataclass(slots=True)
class Bench:
    """A gateway and its upstreams on one loop, without any listener of its own."""

    gateway: Gateway
    fleet: Fleet

    async def settle(self) -> None:
        """Let go of idle connections, so that the next request has to connect."""
        for replica in self.gateway.upstreams.replicas:
            for connection in tuple(cast("OpenAIEngine", replica.engine)._pool._open):
                connection.abort()
        await until(lambda: not self.watched() and not any(r.listener.connections for r in self.fleet.replicas))

    def watched(self) -> int:
        return len(self.gateway.edge.sweeper._watches)

    def exchange(self, way: Way) -> tuple[Exchange, SlowWire]:
        edge, wire = self.gateway.edge, SlowWire()
        intake = Intake(PatientSource(), edge.memory, edge.bounds.body)
        data = msgspec.json.encode(body(way.directive, model=way.model, stream=way.stream))

        def arrive() -> None:
            intake.feed(data[10:])
            intake.end()

        intake.feed(data[:10])
        if way.body_late:
            asyncio.get_running_loop().call_later(0.001, arrive)
        else:
            arrive()
        exchange = Exchange(edge, "chat", HEADERS, wire, intake)
        exchange.most = way.most
        return exchange, wire


@asynccontextmanager
async def benching() -> AsyncIterator[Bench]:
    with open(os.devnull, "wb") as nowhere:  # noqa: ASYNC230, PTH123  # a descriptor, not a file's content
        async with Fleet(2) as fleet:
            gateway = build(check(two_models(fleet.urls), "test"), ROOT / ".cache", nowhere.fileno())
            gateway.edge.sweeper.now = asyncio.get_running_loop().time()
            yield Bench(gateway, fleet)
            gateway.ops.close()


async def interrupted(bench: Bench, way: Way, at: int, when: When) -> bool:
    """One request, cancelled at its suspension `at`; whether it got that far."""
    await bench.settle()
    bench.fleet.replicas[0].set(fault=way.fault)
    if way.reused:
        exchange, _ = bench.exchange(Way())
        await bench.gateway.edge.serve(exchange)
    bench.gateway.edge.accounts.take()
    exchange, wire = bench.exchange(way)
    interrupting = Interrupting(bench.gateway.edge.serve(exchange), at, when)
    exchange.task = asyncio.create_task(interrupting.run())
    await asyncio.wait([exchange.task])
    got_there = interrupting.suspensions >= at
    assert exchange.task.cancelled() is got_there or wire.ended
    await assert_nothing_held(bench, exchange)
    assert wire.ended or wire.aborted
    if not got_there:
        assert exchange.record.status == wire.status > 0
    return got_there


async def assert_nothing_held(bench: Bench, exchange: Exchange) -> None:
    edge = bench.gateway.edge
    assert edge.accounts.take() == [exchange.record]
    assert (edge.accounts.in_flight, edge.memory.held, edge.traffic.live) == (0, 0, set())
    assert [r.in_flight for model in bench.gateway.catalog for r in model.replicas] == [0, 0, 0]
    assert exchange not in edge.sweeper._watches
    pools = [cast("OpenAIEngine", replica.engine)._pool for replica in bench.gateway.upstreams.replicas]
    assert [pool._connecting for pool in pools] == [0, 0, 0]
    await until(lambda: all(len(pool._open) == len(pool._idle) for pool in pools))
    await until(lambda: bench.watched() == sum(len(pool._idle) for pool in pools))
    await until(lambda: all(call.outcome for replica in bench.fleet.replicas for call in replica.calls))


async def at_every_await(way: Way, when: When) -> int:
    async with benching() as bench:
        at = 1
        while await interrupted(bench, way, at, when):
            at += 1
        await bench.settle()
    return at - 1


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
@pytest.mark.parametrize("when", ["waiting", "ready"])
@pytest.mark.parametrize("name", WAYS)
def test_p01_p04_a_cancellation_at_every_await_leaves_nothing_held(
    name: str, when: When, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    at_all: Coroutine[Any, Any, int] = at_every_await(WAYS[name], when)
    with asyncio.Runner(loop_factory=loop) as runner:
        tried = runner.run(at_all)
    assert tried >= (1 if WAYS[name].reused else 2)
