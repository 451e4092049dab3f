"""One request in flight: what came in, what went out, what time is left; it ends answered, whatever happened."""

from __future__ import annotations

import asyncio
import logging
from functools import lru_cache
from types import TracebackType
from typing import Literal, Protocol, Self

from engines.api import Call, Kind, Reply
from engines.sweeper import NEVER
from gateway import preamble, sse
from gateway.edge import Edge, own_headers
from gateway.errors import BODY_CUT, DEADLINE, DRAINING, INTERNAL, SLOW_BODY, Problem, Refusal, problem
from gateway.intake import Intake
from gateway.logs import describe
from gateway.prompt import Prompt
from router.model import Model, Version
from security.api import Principal

_logger = logging.getLogger("snowshed")

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


class Exchange:
    """A hold like the others: entered by the pipeline, it is live; left, it is answered, closed and forgotten.

    `due` belongs to the sweeper: it bounds the body's arrival, sends keep-alive comments, cuts a client that does
    not read, and ends the request at its deadline.
    """

    __slots__ = (
        "_backlog", "_call", "_degraded", "_edge", "_last", "_phase", "_plain", "_reason", "_started", "deadline",
        "due", "headers", "intake", "kind", "record", "session", "stream", "task", "wire",
    )  # fmt: skip

    def __init__(self, edge: Edge, kind: Kind, headers: preamble.Headers, wire: Wire, intake: Intake) -> None:
        self._edge = edge
        self.kind = kind
        self.headers = headers
        self.wire = wire
        self.intake = intake
        self.record = edge.record(kind)
        self.task: asyncio.Task[None] | None = None
        self.stream = False
        self.session = b""
        """Calls with the same one belong together, as the caller says who may say so."""
        self._degraded = b""
        self._plain = False
        self._call: Call | None = None
        self._started = False
        self._last = b""  # what was taken last
        self._phase: Phase = "body"
        self._reason: Problem | None = None
        self.deadline = self.record.headers_at + edge.bounds.total_time
        self.due = self.record.headers_at + edge.bounds.body_time

    def __repr__(self) -> str:
        return f"<Exchange {self.record.id} {self.kind} [{self._phase}{', started' if self._started else ''}]>"

    # On the way in

    def check(self) -> None:
        """Judge by the headers alone. Raises Refusal."""
        record, bounds = self.record, self._edge.bounds
        preamble.check(self.headers, self._edge.hosts)
        self._plain = preamble.READ.isdisjoint(self.headers)
        if not self._plain:
            record.label = preamble.label(self.headers)
            self.deadline = record.headers_at + preamble.seconds(self.headers, bounds.total_time)
        if self._edge.traffic.closed:
            raise Refusal(DRAINING)
        protection = self._edge.protection
        if protection.reason is not None and self._edge.accounts.in_flight > 1:  # a lone one is not too many
            raise Refusal(protection.refusal(protection.reason))

    def admit(self, principal: Principal) -> None:
        """Raises Forbidden for who is known, but may not call models, and Refusal for a class that there is not."""
        record = self.record
        record.tenant = principal.tenant
        record.key = principal.key_id
        record.rank = principal.rank
        record.weight = principal.weight
        principal.require("inference")
        if self._plain:
            return
        record.rank, heeded = preamble.rank(self.headers, principal.rank)
        if not heeded:
            self.ignore(preamble.URGENCY)
        if "routing" in principal.scopes:
            self.session = self.headers.get(preamble.SESSION, b"")
        else:
            self.ignore(preamble.STEERING)

    def ignore(self, names: frozenset[bytes]) -> None:
        """Headers that mean nothing from this caller: those that are there are counted."""
        self._edge.ignored.update(names.intersection(self.headers))

    async def body(self) -> bytes:
        """The whole body. Raises Refusal if it is too large, too slow or cut."""
        intake = self.intake
        body = intake.whole() if intake.complete else await intake.read()
        record = self.record
        record.body_at = self._edge.clock()
        record.body_bytes = len(body)
        return body

    def identify(self, prompt: Prompt, model: Model) -> None:
        """What is asked of which model; a version is still to be chosen."""
        self.record.model = model.name
        self.record.why = model.why
        self.record.stream = self.stream = prompt.stream
        self._phase = "waiting"
        grace = self._edge.bounds.comment_grace
        self.due = min(self.deadline, self._edge.sweeper.soon(grace)) if prompt.stream else self.deadline

    def call(self, prompt: Prompt, version: Version) -> Call:
        """The request as the version's engines get it."""
        record = self.record
        record.version = version.label
        if self._call is None:  # another model's call comes after a wait that was not ours
            record.dispatched_at = self._edge.clock()
        fields = prompt.upstream_fields(version.upstream, version.cap_field, version.max_tokens)
        call = self._call = Call(
            record.id, self.kind, fields, version.model, prompt.stream, prompt.show_usage, self.deadline
        )
        record.whole = call.whole
        return call

    def degrade(self, model: Model, trouble: str) -> None:
        """Another model answers because of this trouble: the client is told in a header."""
        self.record.fallback = trouble
        self.record.why = model.why
        self._degraded = b"x-gateway-degraded: model=%b;reason=%b\r\n" % (model.name.encode(), trouble.encode())

    # On the way out

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

    def give_up(self, reason: Problem) -> None:
        """End the request from outside: every block unwinds, and the client is told why."""
        if self._reason is None and self.task is not None:
            self._reason = reason
            self.task.cancel()

    def abandon(self) -> None:
        """The client has left."""
        self.intake.fail(BODY_CUT)
        if self.task is not None:
            self.task.cancel()
        if self not in self._edge.traffic.live and not self._started:  # its turn never came: still, one record each
            with self._edge.accounts.open(self.record):
                self._leave()

    def _leave(self) -> None:
        if self._phase == "relaying" and self._last.endswith(sse.DONE):  # SDKs close once they see it
            self.record.outcome = "success"
            return
        self.record.client_gone = True
        self.record.code = "client_gone"

    def _open(self, status: int, lines: bytes, length: int | None, *, close: bool = False) -> None:
        record = self.record
        self._started = True
        record.status = status
        lines = own_headers(record.id) + lines
        if record.version:
            lines += _answered_by(record.version) + self._degraded
        if record.label:
            lines += b"x-client-request-id: %b\r\n" % record.label.encode()
        self.wire.open(status, lines, length, close=close)

    # engines.sweeper.Watch

    def expire(self, now: float) -> None:
        self.due = NEVER
        if now >= self.deadline:
            self.give_up(DEADLINE)
        elif self._phase == "body":
            self.intake.fail(SLOW_BODY)
        elif self._phase == "stalled":
            self._cut_stalled()
        else:
            self._comment(now)

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

    # The hold

    def __enter__(self) -> Self:
        self._edge.traffic.live.add(self)
        self._edge.sweeper.add(self)
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> bool:
        edge = self._edge
        edge.traffic.live.discard(self)
        edge.sweeper.discard(self)
        self.intake.close()
        if exc is None:
            return False
        if self._call is not None and (spent := self._call.spent) is not None:
            self.record.use(spent.prompt, spent.completion, exact=spent.exact)
        if isinstance(exc, asyncio.CancelledError):
            if self._reason is None:
                self._leave()
                self.wire.abort()
                return False
            self.fail(self._reason)
            return True
        trouble = problem(exc)
        if trouble is INTERNAL:
            # Neither the exception's text nor its locals: they may hold what the caller wrote.
            _logger.error("request broke", extra={"request": self.record.id, "exception": describe(exc)})
        self.fail(trouble)
        return True


_JSON = b"content-type: application/json\r\n"


@lru_cache(maxsize=512)
def _answered_by(version: str) -> bytes:
    return b"x-model-version: %b\r\n" % version.encode()
