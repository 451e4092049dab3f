"""One request's way out: a head, chunks, comments in between, and an end that can't be taken for another one."""

from __future__ import annotations

from functools import lru_cache
from typing import Literal, Protocol

from engines.api import Reply
from gateway import sse
from gateway.accounts import Record
from gateway.edge import Edge, own_headers
from gateway.errors import Problem
from router.model import Model

Phase = Literal["body", "waiting", "relaying", "stalled"]

FORWARDED = (b"openai-processing-ms", b"openai-version")
"""Headers of the upstream's answer that reach the client."""


class Wire(Protocol):
    """The way out to the client. Writing never waits; whoever writes much asks `paused` and awaits `drain`."""

    @property
    def paused(self) -> bool: ...
    @property
    def backlog(self) -> int: ...
    def open(self, status: int, lines: bytes, length: int | None, *, close: bool = False) -> None:
        """`lines` are whole header lines; `length` None means a stream; `close`: no request may follow this one."""

    def write(self, data: bytes) -> bool:
        """Whether the client keeps up: not `paused`."""
        ...

    async def drain(self) -> None: ...
    def end(self) -> None: ...
    def abort(self) -> None: ...


class Answer:
    """Of one request, whose `record` it keeps. Until it has begun, whatever goes wrong has a status of its own.

    `deadline` and `due` (loop seconds) are of the request, and of what is to be done next about its silence.
    """

    __slots__ = (
        "_backlog", "_degraded", "_edge", "_last", "_limits", "_phase", "_started",
        "deadline", "due", "record", "stream", "wire",
    )  # fmt: skip

    def __init__(self, edge: Edge, record: Record, wire: Wire) -> None:
        self._edge = edge
        self.record = record
        self.wire = wire
        self.stream = False
        self.deadline = record.headers_at + edge.bounds.total_time
        self.due = record.headers_at + edge.bounds.body_time
        self._degraded = self._limits = b""  # header lines
        self._started = False
        self._last = b""  # what was taken last
        self._phase: Phase = "body"

    def degrade(self, model: Model, trouble: str) -> None:
        """Another model answers because of this trouble: the client is told in a header."""
        self.record.fallback = trouble
        self.record.why = model.why
        self._degraded = b"x-gateway-degraded: model=%b;reason=%b\r\n" % (model.name.encode(), trouble.encode())

    def limit(self, lines: bytes) -> None:
        """How the caller's limits stand, in whole header lines: the client is told, whatever the answer will be."""
        self._limits = lines

    def start(self, reply: Reply, length: int | None = None) -> None:
        """Write the head of a good answer, unless a keep-alive comment has already done so."""
        record = self.record
        now = record.first_at = record.last_at = self._edge.clock()
        record.overhead = record.dispatched_at - record.body_at
        self._relaying()
        if self._started:
            return
        lines = b"server-timing: gateway;dur=%.2f, queue;dur=%.2f, first_token;dur=%.2f\r\n" % (
            record.overhead * 1000, record.queued * 1000, (now - record.dispatched_at - record.queued) * 1000,
        )  # fmt: skip
        for name in FORWARDED:
            if name in reply.headers:
                lines += b"%b: %b\r\n" % (name, reply.headers[name])
        self._open(200, lines + (sse.LINES if self.stream else _JSON), length)

    def take(self, data: bytes) -> bool:
        """Hand the next bytes on, all that happens per chunk: one write, one clock reading, counts. Never waits.

        Whether the client keeps up; if not, `drain` is to be awaited.
        """
        keeps_up = self.wire.write(data)
        self._last = data
        record = self.record
        now = self._edge.clock()
        gap = now - record.last_at
        if gap > record.gap_max:
            record.gap_max = gap
        record.last_at = now
        record.chunks += 1
        record.sent_bytes += len(data)
        return keeps_up

    async def drain(self) -> None:
        """Wait until the client has read; it must go on doing so: the stall limit is for a pause in it."""
        if not self.wire.paused:
            return
        self._phase = "stalled"
        self.record.paused = True
        self._backlog = self.wire.backlog
        self.due = min(self.deadline, self._edge.sweeper.soon(self._edge.bounds.stall_time))
        await self.wire.drain()
        self.record.paused = False
        self.record.last_at = self._edge.clock()  # the wait was the client's, not the replica's
        self._relaying()

    def _relaying(self) -> None:
        self._phase = "relaying"
        every = self._edge.bounds.comment_every
        self.due = min(self.deadline, self._edge.sweeper.soon(every)) if self.stream else self.deadline

    def finish(self) -> None:
        """The whole answer is written."""
        self.record.outcome = "success"
        self.wire.end()

    def fail(self, trouble: Problem) -> None:
        """Tell the client: by status while that is still possible, by a last event in a stream, else by cutting."""
        record = self.record
        record.code = trouble.code
        record.reason = trouble.reason
        record.outcome = trouble.outcome
        if not self._started:
            body = trouble.envelope
            self._open(trouble.status, trouble.lines, len(body), close=trouble.close)
            self.wire.write(body)
            self.wire.end()
        elif self.stream:
            self.wire.write(sse.error_event(trouble))
            self.wire.end()
        else:
            self.wire.abort()

    def _open(self, status: int, lines: bytes, length: int | None, *, close: bool = False) -> None:
        record = self.record
        self._started = True
        record.status = status
        lines = own_headers(record.id) + lines
        if record.version:
            lines += _answered_by(record.version) + self._degraded
        if self._limits:
            lines += self._limits
        if record.output_cap and not record.code:
            lines += b"x-gateway-capped: max_tokens=%d;reason=quota\r\n" % record.output_cap
        if record.label:
            lines += b"x-client-request-id: %b\r\n" % record.label.encode()
        self.wire.open(status, lines, length, close=close)

    def _cut_stalled(self) -> None:
        backlog = self.wire.backlog
        if backlog < self._backlog:  # slow, but it reads
            self._backlog = backlog
            self.due = min(self.deadline, self._edge.sweeper.soon(self._edge.bounds.stall_time))
        else:
            self.wire.abort()

    def _comment(self, now: float) -> None:
        # Proxies in between cut a stream that is silent for a minute. The status is spent with the first comment:
        # later errors come as events.
        every = self._edge.bounds.comment_every
        if self._phase == "relaying" and now < self.record.last_at + every:  # no silence yet
            self.due = min(self.deadline, self.record.last_at + every)
            return
        if not self._started:
            self._open(200, sse.LINES, None)
        self.wire.write(sse.KEEP_ALIVE)
        self.due = min(self.deadline, now + every)


_JSON = b"content-type: application/json\r\n"


@lru_cache(maxsize=512)
def _answered_by(version: str) -> bytes:
    return b"x-model-version: %b\r\n" % version.encode()
