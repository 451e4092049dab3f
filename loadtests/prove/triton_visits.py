"""Clients of a gateway who leave at any moment, and what its log says of them."""

from __future__ import annotations

import asyncio
import contextlib
import random
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import BinaryIO

import msgspec
import uvloop

from loadtests.bench import bodies
from loadtests.bench.processes import wait_until
from loadtests.bench.stand import Front
from loadtests.prove.quiet import PATIENCE, in_flight
from loadtests.prove.visitor import Visitor, arrive

WORKERS = 20
STREAMED = 0.8
"""Share of the requests that are streams."""
TTFT_MS, TOKEN_MS, TOKENS = 100, 20, 15
LIFE_MS = TTFT_MS + TOKEN_MS * TOKENS
LONGEST_STAY = LIFE_MS * 1.02 / 1e3
"""Seconds within which every request is left: a little longer than it may take."""
_WISH = f"@@tokens={TOKENS},ttft_ms={TTFT_MS},delay_ms={TOKEN_MS}@@"


@dataclass
class Leavings:
    """Visitors who leave at a time drawn for each, until so many have left; those answered before do not count."""

    place: Front
    wanted: int
    left_at: dict[str, float] = field(default_factory=dict)  # by the label that a visitor gives its request
    answered: int = 0
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(100_000)))

    async def run(self) -> None:
        async with asyncio.TaskGroup() as group:
            for _ in range(WORKERS):
                group.create_task(self._work())

    async def _work(self) -> None:
        port = self.place.ports.public
        while len(self.left_at) < self.wanted:
            number = next(self._numbers)
            rng = random.Random(number)
            body = bodies.chat(stream=rng.random() < STREAMED, remark=_WISH)
            visitor = await arrive(port)
            visitor.begin(bodies.http(port, body, f"x-request-id: visitor-{number}\r\n"))
            await self._stay(visitor, rng.uniform(0, LONGEST_STAY))
            if not visitor.left_at:
                self.answered += 1
                visitor.transport.abort()
            elif len(self.left_at) < self.wanted:
                self.left_at[f"visitor-{number}"] = visitor.left_at

    async def _stay(self, visitor: Visitor, seconds: float) -> None:
        timer = asyncio.get_running_loop().call_later(seconds, visitor.leave)
        ending = await visitor.ending
        timer.cancel()
        if ending == "lost" or (ending == "answered" and visitor.status != 200):  # noqa: PLR2004
            raise AssertionError(f"{ending}: {visitor.status} {visitor.body.decode()}")


class Known(msgspec.Struct, frozen=True):
    """What the gateway's log says of a request."""

    id: str
    client_request_id: str
    stream: bool
    client_gone: bool
    completion_tokens: int


def logged(out: BinaryIO, labels: dict[str, float]) -> list[Known]:
    """The gateway's lines about the visitors, once all are there: it writes them four times a second."""

    def lines() -> list[Known]:
        out.seek(0)
        decoded = [_line(line) for line in out.read().split(b"\n")[:-1]]
        return [line for line in decoded if line is not None and line.client_request_id in labels]

    wait_until(lambda: len(lines()) >= len(labels), PATIENCE, "a log line for each visitor", step=0.1)
    return lines()


def _line(line: bytes) -> Known | None:
    try:
        return msgspec.json.decode(line, type=Known)
    except msgspec.ValidationError:  # a line about the gateway itself
        return None


@dataclass(frozen=True)
class Outcome:
    """Visitors, the gateway's log of them, and its gauge of requests in flight afterwards."""

    leavings: Leavings
    log: list[Known]
    flying: float


@contextmanager
def left(place: Front, wanted: int) -> Iterator[Outcome]:
    """The gateway is there until the context ends, with the connections it keeps."""
    with tempfile.TemporaryFile() as out, place.gateway(out.fileno()):
        leavings = Leavings(place, wanted)
        uvloop.run(leavings.run())
        with contextlib.suppress(TimeoutError):
            wait_until(lambda: in_flight(place) == 0, PATIENCE, "silence", step=0.1)
        yield Outcome(leavings, logged(out, leavings.left_at), in_flight(place))
