"""Lets a crowd loose on a port, and watches meanwhile."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from loadtests.bench.processes import Server, core_busy
from loadtests.bench.stand import Stand
from loadtests.overload.plan import PATIENCE, Attempt, Plan, Report, Source
from loadtests.overload.tally import Tally, quantiles, tally
from loadtests.overload.upstream import Watch, Work, calm

LAG_MS = 10.0
"""The generator's p99 lag above which a load is no measure of anything."""
TRIES = 2
WATCHING = 0.02
"""Seconds between two looks at what goes on."""
LONGEST = 60.0
"""Seconds that a load may take after its last client has come first."""


@dataclass(frozen=True)
class Event:
    """Something that happens `at` so many seconds after a load began."""

    at: float
    do: Callable[[], object]


@dataclass(frozen=True)
class Target:
    """What is loaded: a server of a stand, and its port."""

    place: Stand
    server: Server
    port: int


@dataclass(frozen=True)
class Load:
    """What came of one."""

    attempts: list[Attempt]
    lag_ms: float  # the generator's, p99
    cpu_us: float  # of the generator, per attempt
    server_cpu: float  # seconds
    others: float  # share of the server's core that other processes took
    rss_mb: list[float]  # of what was loaded, every second
    work: Work

    def figures(self) -> dict[str, Any]:
        """All but the attempts, as JSON can say it."""
        return {
            "attempts": len(self.attempts), "generator_lag_p99_ms": self.lag_ms, "generator_cpu_us": self.cpu_us,
            "server_cpu_s": self.server_cpu, "others": self.others,
            "upstream": msgspec.to_builtins(self.work),
        }  # fmt: skip

    def tally(self, start: float, end: float, *of: int) -> Tally:
        """`of` the sources with these numbers, or of all."""
        return tally(self.attempts, start, end, of)


def load(
    target: Target, sources: Sequence[Source], events: Sequence[Event] = (), *, patience: float = PATIENCE
) -> Load:
    """Begins when a load before has ended. One whose generator lagged is repeated; the last of some tries counts."""
    plan = Plan(target.port, list(sources), patience=patience)
    for _ in range(TRIES - 1):
        one = _load(target, plan, events)
        if one.lag_ms <= LAG_MS:
            return one
    return _load(target, plan, events)


def _load(target: Target, plan: Plan, events: Sequence[Event]) -> Load:
    calm(target.place)
    watch, cpu = Watch(target.place), target.server.cpu()
    started, busy = time.monotonic(), core_busy(target.place.core)
    report, rss = _carried_out(target, plan, events)
    cpu = target.server.cpu() - cpu
    others = (core_busy(target.place.core) - busy - cpu) / (time.monotonic() - started)
    return Load(
        attempts=report.attempts,
        lag_ms=quantiles(one.lag for one in report.attempts).p99,
        cpu_us=report.cpu / len(report.attempts) * 1e6,
        server_cpu=cpu,
        others=others,
        rss_mb=rss,
        work=watch.work(),
    )


def _carried_out(target: Target, plan: Plan, events: Sequence[Event]) -> tuple[Report, list[float]]:
    """What the generator says, and what the server weighed every second."""
    told, said = (target.place.config.with_name(name) for name in ("plan.json", "report.json"))
    told.write_bytes(msgspec.json.encode(plan))
    command = ["loadtests.overload.generator", str(told)]
    with said.open("wb") as out, Server("generator", command, target.place.rest, out.fileno()) as generator:
        generator.ready(lambda: b"\n" in said.read_bytes())
        begins = msgspec.json.decode(said.read_bytes(), type=float)
        rss = _watched(generator, target.server, begins, plan.seconds + LONGEST, events)
        _, _, report = said.read_bytes().partition(b"\n")
        if not report:
            raise RuntimeError(f"the generator failed: {generator.complaint()}")
    return msgspec.json.decode(report, type=Report), rss


def _watched(generator: Server, server: Server, begins: float, most: float, events: Sequence[Event]) -> list[float]:
    """Let happen what has to, until the generator has ended; what the server weighed every second."""
    rss: list[float] = []
    ahead = sorted(events, key=lambda event: event.at)
    while generator.alive:
        now = time.monotonic() - begins
        if now > most:
            raise TimeoutError(f"the load did not end within {most:g} s")
        while ahead and ahead[0].at <= now:
            ahead.pop(0).do()
        if now >= len(rss):
            rss.append(server.rss() / 1e6)
        time.sleep(WATCHING)
    return rss
