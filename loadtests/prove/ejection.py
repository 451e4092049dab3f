"""One of three replicas is at fault, in each way that there is: callers are spared or told so, and it is soon out."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import msgspec
import uvloop

from loadtests.bench.processes import Server
from loadtests.fleet import Fleet, Replica, Settings
from loadtests.fleet.settings import directed
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.faults import (
    GRPC_MODEL,
    GRPC_WAYS,
    HTTP_WAYS,
    LIMITS,
    OVER_GRPC,
    OVER_HTTP,
    TIMEOUTS,
    Way,
    model_of,
    spread,
)
from loadtests.prove.served import Served, served
from loadtests.prove.traffic import WHOLE, Traffic, traffic

RATE = 50.0
"""Requests a second to one model, whether answers come or not."""
TURNS = 2
"""Models that are asked at a time."""
SOON, LONGEST = 3.0, 8.0
"""Seconds within which a replica at fault has to be out; and after which that is given up."""
SENT, AFTER = 0.2, 1.0
"""Seconds within which what it was sent before still arrives, and for which requests go on: none may follow."""
HARMLESS = 2.0
"""Seconds for which they go on where nothing must happen."""
MOST, LONG = 0.01, 30.0
"""Share of the requests of so many seconds that one may touch which draws work by being idle, or by looking it."""
OUT = ("ejected", "not ready")
DRAWS: Mapping[str, str] = {"status-500": "fails at once", "status": "fails at once", "accept_silent": "never answers"}
TEMPLATE = "{% for message in messages %}{{ message.content }}\n{% endfor %}"


@dataclass(slots=True, frozen=True)
class Found:
    """What became of the requests to one model; `out` in seconds, None where it is no failure of the replica's."""

    asked: int
    endings: Mapping[str, int]
    """WHOLE, WRONG, and codes of errors as callers were told."""
    untold: int
    """Those that were neither whole nor an error that goes with the fault."""
    touched: int
    """Calls that reached the replica at fault."""
    late: int
    """Of these, calls that came when it had been out for a while."""
    out: float | None
    slowest: float
    """Seconds from a request to the end of what its caller was told."""
    blamed: Sequence[str]
    """What the gateway said of replicas that were well."""


class _Line(msgspec.Struct):
    event: str
    replica: str = ""
    after: str = ""
    reason: str = ""


class Log:
    """What a gateway says of its replicas, and when that could be read: a little later than it was so."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._read = 0
        self._said: list[tuple[float, str, str]] = []

    def __repr__(self) -> str:
        return f"<Log {len(self._said)} lines about replicas, {self._read} bytes read>"

    def of(self, model: str, since: float) -> list[tuple[float, str, str]]:
        """When (`time.monotonic()`), of which of the model's replicas, and what: a state or `not ready`, and why."""
        lines, end, _ = self._server.said(self._read).rpartition(b"\n")
        self._read += len(lines + end)
        now = time.monotonic()
        for line in map(msgspec.json.Decoder(_Line).decode, lines.splitlines()):
            if line.event in ("replica state", "replica not ready"):
                self._said.append((now, line.replica, f"{line.after or 'not ready'}: {line.reason}"))
        return [said for said in self._said if said[0] >= since and said[1].rpartition("-")[0] == model]


@dataclass(slots=True, frozen=True)
class Trial:
    """A model whose first replica has come to show its fault at `began`; a caller asks it until that has been seen."""

    way: Way
    replica: Replica
    log: Log
    began: float

    async def run(self, clients: Traffic, turns: asyncio.Semaphore) -> Found:
        """The next one may begin when no more requests follow: who still waits for a silent replica asks nothing."""
        fault, _ = self.way
        seconds = (LONG if fault.name in DRAWS else LONGEST) if fault.ejects else HARMLESS
        await clients.trickle(RATE, seconds, self._seen, turns.release)
        return self._found(clients)

    def _seen(self) -> bool:
        out = self._out()
        fault, _ = self.way
        return fault.ejects and fault.name not in DRAWS and time.monotonic() - out > AFTER

    def _out(self) -> float:
        """When it got no more work."""
        faulty = f"{model_of(self.way)}-0"
        said = self.log.of(model_of(self.way), self.began)
        return next((at for at, of, what in said if of == faulty and what.startswith(OUT)), float("inf"))

    def _found(self, clients: Traffic) -> Found:
        fault, stream = self.way
        fits = {WHOLE} | fault.tells(stream=stream)
        out = self._out() if fault.ejects else float("inf")
        calls = [call.start for call in self.replica.calls if call.start >= self.began]
        well = [f"{model_of(self.way)}-{number}" for number in range(fault.ejects, 3)]
        return Found(
            asked=len(clients.told),
            endings=Counter(each.ending for each in clients.told),
            untold=sum(each.ending not in fits for each in clients.told),
            touched=len(calls),
            late=sum(out + SENT < start <= out + AFTER for start in calls),
            out=min(LONGEST, out - self.began) if fault.ejects else None,
            slowest=max(each.ended - each.sent for each in clients.told),
            blamed=[f"{of}: {what}" for _, of, what in self.log.of(model_of(self.way), self.began) if of in well],
        )


async def matrix(gateway: Served, replicas: Sequence[Replica], ways: Sequence[Way]) -> dict[str, Found]:
    """By model, two at a time."""
    log, turns = Log(gateway.server), asyncio.Semaphore(TURNS)

    async def one(way: Way, replica: Replica) -> Found:
        await turns.acquire()
        way[0].show(replica)
        with traffic(gateway.public, model_of(way), stream=way[1]) as clients:
            return await Trial(way, replica, log, time.monotonic()).run(clients, turns)

    async with asyncio.TaskGroup() as group:
        tasks = {
            model_of(way): group.create_task(one(way, replica)) for way, replica in zip(ways, replicas, strict=False)
        }
    return {model: task.result() for model, task in tasks.items()}


async def over_http() -> dict[str, Found]:
    async with Fleet(len(HTTP_WAYS) + 2, directed(Settings(), OVER_HTTP)) as fleet:
        models = [
            {
                "name": model,
                "engine": "openai",
                "upstream": "mock",
                "limits": LIMITS,
                "replicas": [{"url": url} for url in urls],
            }
            for model, urls in spread(HTTP_WAYS, fleet.urls).items()
        ]
        async with served(models, timeouts=TIMEOUTS) as gateway:
            return await matrix(gateway, fleet.replicas, HTTP_WAYS)


async def over_grpc() -> dict[str, Found]:
    with TemporaryDirectory(prefix="snowshed-") as folder:
        template = Path(folder) / "template.jinja"
        template.write_text(TEMPLATE)
        options: dict[str, Any] = {"chat_template": str(template), **GRPC_MODEL}
        async with Fleet(len(GRPC_WAYS) + 2, directed(Settings(), OVER_GRPC), contract="llmapi") as fleet:
            models = [
                {
                    "name": model,
                    "engine": "triton",
                    "limits": LIMITS,
                    "replicas": [{"url": target, **options} for target in targets],
                }
                for model, targets in spread(GRPC_WAYS, fleet.targets).items()
            ]
            async with served(models, timeouts=TIMEOUTS) as gateway:
                return await matrix(gateway, fleet.replicas, GRPC_WAYS)


def bars(transport: str, ways: Sequence[Way], found: Mapping[str, Found]) -> Iterator[Bar]:
    out = {model: one.out for model, one in found.items() if one.out is not None}
    slowest = max(out, key=lambda model: out[model])
    count = f"the slowest of {len(out)}, {slowest}"
    yield Bar(f"{transport}: requests neither whole nor told why", sum(one.untold for one in found.values()), 0)
    yield Bar(f"{transport}: seconds until a replica at fault is out, {count}", out[slowest], SOON)
    yield Bar(f"{transport}: calls that reach it in the second after that", sum(one.late for one in found.values()), 0)
    yield Bar(f"{transport}: replicas blamed that are well", sum(len(one.blamed) for one in found.values()), 0)
    for way in ways:
        one, draws = found[model_of(way)], DRAWS.get(way[0].name)
        if draws:
            what = f"share of {'streams' if way[1] else 'unary requests'} that one touches which {draws}"
            yield Bar(f"{transport}: {what}", one.touched / one.asked, MOST)


def prove() -> Verdict:
    """P09: whatever is wrong with one of three replicas, callers are served or told why, and it is out in 3 s."""
    http, grpc = uvloop.run(over_http()), uvloop.run(over_grpc())
    held = chain(bars("HTTP", HTTP_WAYS, http), bars("Triton", GRPC_WAYS, grpc))
    return Verdict(list(held), {"http": msgspec.to_builtins(http), "triton": msgspec.to_builtins(grpc)})


def _at(urls: Iterable[str], **options: Any) -> list[dict[str, Any]]:
    """The replicas of a model."""
    return [{"url": url, **options} for url in urls]
