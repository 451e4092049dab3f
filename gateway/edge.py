"""What every request at the door is measured against and served with: bounds, clocks and the pipeline behind it."""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Callable, Coroutine, Iterator
from dataclasses import dataclass, field
from time import time_ns
from typing import TYPE_CHECKING, Any

from engines.sweeper import Sweeper
from gateway.accounts import Accounts, Record
from gateway.body_memory import BodyMemory
from gateway.exposition import family, labels
from gateway.preamble import STEERING, URGENCY
from gateway.self_protection import SelfProtection
from gateway.traffic import Traffic
from security.exposure import HostCheck

if TYPE_CHECKING:
    from gateway.exchange import Exchange


@dataclass(slots=True, frozen=True)
class Bounds:
    """Sizes in bytes, times in seconds."""

    head: int = 32 * 1024
    headers: int = 100
    url: int = 4 * 1024
    body: int = 8 * 1024 * 1024
    bodies: int = 256 * 1024 * 1024
    pipelined: int = 8
    connections: int = 10_000
    head_time: float = 10.0
    body_time: float = 30.0
    idle_time: float = 75.0
    stall_time: float = 30.0
    total_time: float = 600.0
    comment_grace: float = 15.0
    comment_every: float = 10.0


def own_headers(request_id: str) -> bytes:
    """The header lines that every answer carries, whoever writes it."""
    return b"x-request-id: %b\r\n" % request_id.encode()


class RequestIds:
    """Ids for requests: a random part for the process, and a count. Unique, short, and ours."""

    def __init__(self, random: Callable[[int], bytes] = os.urandom) -> None:
        self._prefix = "req_" + random(8).hex()
        self._count = 0

    def __repr__(self) -> str:
        return f"<RequestIds {self._count} given>"

    def next(self) -> str:
        self._count += 1
        return "%s%08x" % (self._prefix, self._count)  # noqa: UP031  # half the cost of an f-string


@dataclass(slots=True)
class Edge:
    """Shared by every connection; made by `wiring.build`."""

    bounds: Bounds
    clock: Callable[[], float]
    sweeper: Sweeper
    traffic: Traffic
    memory: BodyMemory
    accounts: Accounts
    ids: RequestIds
    hosts: HostCheck | None
    protection: SelfProtection
    serve: Callable[[Exchange], Coroutine[Any, Any, None]]
    ignored: Counter[bytes] = field(default_factory=Counter)
    """Headers, by name, that meant nothing because their senders have no permission for them."""

    def record(self, kind: str) -> Record:
        return Record(self.ids.next(), "", kind, self.clock(), time_ns() // 1_000_000)

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        text = "Requests refused since all bodies together would have taken more memory than they may."
        yield from family("counter", "snowshed_bodies_refused_total", text, [("", self.memory.refused)])
        names = sorted({*STEERING, *URGENCY, *tuple(self.ignored)})  # those of rules, too
        yield from family(
            "counter", "snowshed_headers_ignored_total", "Headers that meant nothing, their sender may not steer.",
            [(labels(("header",), (name.decode(),)), self.ignored[name]) for name in names],
        )  # fmt: skip
