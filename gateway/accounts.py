"""One request, one record, whatever happened to it; and the buffer in which finished records wait to be folded."""

from __future__ import annotations

import time
from collections.abc import Callable
from types import TracebackType
from typing import Literal, Self

Outcome = Literal["success", "ignored", "failed"]
"""success; ignored: the client left or made a mistake, which says nothing about us; failed: ours or the upstream's."""


class Record:
    """Everything one request leaves behind. Times are seconds on the loop's clock unless a name says otherwise.

    Never holds content: no prompt, no answer, no credential, no header value but validated labels.
    """

    __slots__ = (
        "attempts", "body_at", "body_bytes", "chunks", "client_gone", "code", "completion_tokens", "dispatched_at",
        "ended_at", "first_at", "gap_max", "headers_at", "id", "kind", "label", "last_at", "model", "outcome",
        "overhead", "prompt_tokens", "queued", "replica", "sent_bytes", "status", "stream", "unix_ms", "usage_exact",
    )  # fmt: skip

    def __init__(self, id_: str, label: str, kind: str, now: float) -> None:
        self.id = id_
        self.label = label  # the caller's own request id, validated; "" if none
        self.kind = kind  # chat, completion, embedding
        self.model = ""  # public name from the catalog; "" until one was found: never what a caller made up
        self.replica = ""
        self.stream = False
        self.status = 0  # as sent; 0 if nothing was
        self.code = ""  # error code as sent, "" if none
        self.outcome: Outcome = "ignored"
        self.client_gone = False
        self.attempts = 0
        self.unix_ms = time.time_ns() // 1_000_000
        self.headers_at = now
        self.body_at = 0.0
        self.dispatched_at = 0.0
        self.first_at = 0.0  # first content handed to the client
        self.last_at = 0.0
        self.ended_at = 0.0
        self.gap_max = 0.0
        self.queued = 0.0
        self.overhead = 0.0  # our own share of the time to the first content, without waiting for client or upstream
        self.chunks = 0
        self.body_bytes = 0
        self.sent_bytes = 0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.usage_exact = False


class Accounts:
    """Opens a record per request and keeps finished ones until `take`; at most `bound`, then the oldest half goes."""

    def __init__(self, clock: Callable[[], float], bound: int = 100_000) -> None:
        self._clock = clock
        self._bound = bound
        self._finished: list[Record] = []
        self.in_flight = 0
        self.lost = 0

    def __repr__(self) -> str:
        return f"<Accounts {self.in_flight} in flight, {len(self._finished)} to fold, {self.lost} lost>"

    def open(self, record: Record) -> OpenRecord:
        """The outermost block of a request: counts it in flight, and books it on the way out."""
        return OpenRecord(self, record)

    def take(self) -> list[Record]:
        """The records finished since the last call."""
        finished, self._finished = self._finished, []
        return finished

    def book(self, record: Record) -> None:
        record.ended_at = self._clock()
        if len(self._finished) >= self._bound:
            half = self._bound // 2
            del self._finished[:half]
            self.lost += half
        self._finished.append(record)


class OpenRecord:
    """Hold of one request on its record."""

    __slots__ = ("_accounts", "_record")

    def __init__(self, accounts: Accounts, record: Record) -> None:
        self._accounts = accounts
        self._record = record

    def __enter__(self) -> Self:
        self._accounts.in_flight += 1
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._accounts.in_flight -= 1
        self._accounts.book(self._record)
