"""The load generator, a process of its own: a closed loop of requests or streams, each answer's bytes checked.

Takes a `Plan` as JSON in its only argument and prints a `Result` as JSON; loads 127.0.0.1 only, stops by itself.
"""

from __future__ import annotations

import asyncio
import gc
import re
import sys
from collections import Counter
from time import perf_counter, process_time

import msgspec
import uvloop

from loadtests.bench import bodies
from loadtests.bench.client import Connection

GRACE = 20.0
"""Seconds that requests under way may take after the plan's time is over."""

DONE = b"data: [DONE]\n\n"
USAGE = b'"choices":[],"usage":'
CONTENT = re.compile(rb'"content":"([^"\\]+(?:\\.[^"\\]*)*)"')


class Plan(msgspec.Struct, frozen=True):
    """What to send. Each unary body must end with `expect`; each stream's content, as escaped in JSON, equals it."""

    port: int
    body: str
    extra: str = ""  # header lines
    connections: int = 64
    seconds: float = 2.0
    stream: bool = False
    spread: float = 0.0  # seconds over which the connections start
    status: int = 200
    expect: str = ""
    usage: bool = False  # whether a usage event has to come


class Quantiles(msgspec.Struct, frozen=True):
    """Of times in milliseconds; NaN-free: all 0 if there was nothing to measure."""

    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0


class Result(msgspec.Struct, frozen=True):
    """What came of it. `errors` counts by kind: connect, lost, status, bytes, unfinished."""

    done: int
    tokens: int  # content events
    elapsed: float
    errors: dict[str, int]
    latency_ms: Quantiles
    ttft_ms: Quantiles
    gap_ms: Quantiles
    cpu_us: float  # own CPU per request, per token when streaming


def quantiles(seconds: list[float]) -> Quantiles:
    if not seconds:
        return Quantiles()
    ordered = sorted(seconds)
    last = len(ordered) - 1
    return Quantiles(*(round(ordered[round(q * last)] * 1e3, 3) for q in (0.5, 0.9, 0.99)))


class Run:
    """One plan being carried out: what its workers share."""

    def __init__(self, plan: Plan) -> None:
        self.plan = plan
        self.request = bodies.http(plan.port, plan.body.encode(), plan.extra)
        self.expect = plan.expect.encode()
        self.ends_at = 0.0
        self.done = self.tokens = self.active = 0
        self.errors: Counter[str] = Counter()
        self.latencies: list[float] = []
        self.firsts: list[float] = []
        self.gaps: list[float] = []
        self.connecting: set[asyncio.Future[None]] = set()
        self.over = asyncio.get_running_loop().create_future()

    def __repr__(self) -> str:
        return f"<Run {self.done} done, {self.active} active, {self.errors.total()} errors>"

    def begin(self) -> None:
        self.active += 1
        self.connecting.add(task := asyncio.ensure_future(self.connect()))
        task.add_done_callback(self.connecting.discard)

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        worker = Stream if self.plan.stream else Unary
        try:
            _, connection = await loop.create_connection(lambda: worker(self), "127.0.0.1", self.plan.port)
        except OSError:
            self.retire("connect")
        else:
            connection.ask(self.request)

    def next(self, connection: Connection) -> None:
        """After an answer: ask again, on a fresh connection if this one was closed, until time is up."""
        if perf_counter() >= self.ends_at:
            connection.transport.close()
            self.retire()
        elif connection.open:
            connection.ask(self.request)
        else:
            self.retire()
            self.begin()

    def retire(self, error: str = "") -> None:
        self.active -= 1
        if error:
            self.errors[error] += 1
        if self.active == 0 and perf_counter() >= self.ends_at and not self.over.done():
            self.over.set_result(None)


class Unary(Connection):
    """Asks, checks the whole body, asks again."""

    def __init__(self, run: Run) -> None:
        super().__init__()
        self.run = run

    def answered(self, status: int) -> None:
        run = self.run
        run.done += 1
        run.latencies.append(perf_counter() - self.asked_at)
        if status != run.plan.status:
            run.errors["status"] += 1
        elif not b"".join(self.pieces).endswith(run.expect):
            run.errors["bytes"] += 1
        run.next(self)

    def lost(self) -> None:
        self.run.retire("lost")
        if perf_counter() < self.run.ends_at:
            self.run.begin()


class Stream(Unary):
    """Asks for a stream, keeps its timing, checks its text and its end."""

    def __init__(self, run: Run) -> None:
        super().__init__(run)
        self.last_at = 0.0

    def ask(self, request: bytes) -> None:
        self.last_at = 0.0
        super().ask(request)

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)
        now = perf_counter()
        if self.last_at:
            self.run.gaps.append(now - self.last_at)
            self.last_at = now
        elif CONTENT.search(data):
            self.run.firsts.append(now - self.asked_at)
            self.last_at = now

    def answered(self, status: int) -> None:
        run = self.run
        run.done += 1
        run.latencies.append(perf_counter() - self.asked_at)
        whole = b"".join(self.pieces)
        contents = CONTENT.findall(whole)
        run.tokens += len(contents)
        if status != run.plan.status:
            run.errors["status"] += 1
        elif b"".join(contents) != run.expect or not whole.endswith(DONE) or (USAGE in whole) != run.plan.usage:
            run.errors["bytes"] += 1
        run.next(self)


async def carry_out(plan: Plan) -> Result:
    """Load as planned; returns when the last answer is in, at most GRACE after the plan's time."""
    run = Run(plan)
    loop = asyncio.get_running_loop()
    started, cpu = perf_counter(), process_time()
    run.ends_at = started + plan.seconds
    for i in range(plan.connections):
        loop.call_later(i * plan.spread / plan.connections, run.begin)
    try:
        async with asyncio.timeout(plan.seconds + GRACE):
            await run.over
    except TimeoutError:
        run.errors["unfinished"] += run.active
    cpu = process_time() - cpu
    return Result(
        done=run.done,
        tokens=run.tokens,
        elapsed=round(perf_counter() - started, 3),
        errors=dict(run.errors),
        latency_ms=quantiles(run.latencies),
        ttft_ms=quantiles(run.firsts),
        gap_ms=quantiles(run.gaps),
        cpu_us=round(cpu / max(run.tokens if plan.stream else run.done, 1) * 1e6, 2),
    )


if __name__ == "__main__":
    gc.disable()  # the run is short, and a pause here would look like one of the gateway's
    outcome = uvloop.run(carry_out(msgspec.json.decode(sys.argv[1], type=Plan)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
