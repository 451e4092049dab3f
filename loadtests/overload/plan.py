"""What a crowd of clients is to do, and what came of it: the messages between a proof and the generator's process."""

from __future__ import annotations

from typing import Literal

import msgspec

OK = 200
REFUSED = frozenset({429, 503, 529})
"""Statuses of answers that ask to come back later."""
PATIENCE = 2.0
"""Seconds for which most clients wait for an answer."""
Ending = Literal["answered", "left", "lost"]
"""left: the client's patience had an end; lost: the connection had one, or never came about."""


class Phase(msgspec.Struct, frozen=True):
    """So many seconds at so many new requests a second."""

    seconds: float
    rate: float


class Retries(msgspec.Struct, frozen=True):
    """What clients do that were refused, or that gave up: they come back so often at most.

    The share `deaf` of them come back at once; the others as soon as they were told to, by `retry-after-ms` or
    `retry-after`, and at once if they were told nothing.
    """

    most: int = 3
    deaf: float = 0.5


class Source(msgspec.Struct, frozen=True):
    """One kind of client, which sends the same `body` to /v1/chat/completions, under the header lines `extra`."""

    name: str
    phases: list[Phase]
    body: str
    extra: str = ""
    retries: Retries | None = None


class Plan(msgspec.Struct, frozen=True):
    """Load on 127.0.0.1:`port`. A client that has no answer after `patience` seconds closes its connection."""

    port: int
    sources: list[Source]
    seed: int = 1
    patience: float = PATIENCE

    @property
    def seconds(self) -> float:
        """In which clients come for the first time."""
        return max(sum(phase.seconds for phase in source.phases) for source in self.sources)


class Attempt(msgspec.Struct, array_like=True):
    """One request, or one retry of it. Times in seconds since the load began.

    `at` is when it was due, whatever the generator was busy with then; `begun` when it turned to it; `sent` when the
    request was written, which may have taken a new connection first.
    """

    source: int
    retry: int  # 0: the first try
    at: float
    begun: float
    sent: float = 0.0
    ended: float = 0.0
    ending: Ending = "left"
    status: int = 0  # of an answer
    retry_after: float = 0.0  # seconds that the answer asks to wait; 0: it does not say

    @property
    def lag(self) -> float:
        """The generator's own."""
        return self.begun - self.at

    @property
    def took(self) -> float:
        """What the client waited, from the intended moment on: the generator's lag is in it, too."""
        return self.ended - self.at

    @property
    def served(self) -> bool:
        return self.ending == "answered" and self.status == OK

    @property
    def refused(self) -> bool:
        return self.ending == "answered" and self.status in REFUSED


class Report(msgspec.Struct, frozen=True):
    """Everything that was sent, and the generator's own CPU seconds."""

    attempts: list[Attempt]
    cpu: float
