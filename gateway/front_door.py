"""uvicorn's HTTP protocol class for us: hot paths go straight into the pipeline at the headers, the rest to FastAPI.

A hot request never becomes an ASGI scope. uvicorn keeps listening, TLS, signals and the lifespan; timers are the
sweeper's. Pinned to one uvicorn version: `tests/architecture` says when a method overridden here disappears.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from functools import partial
from itertools import chain
from typing import Any, cast
from urllib.parse import unquote_to_bytes

import httptools
from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from engines.api import Kind
from engines.sweeper import NEVER
from gateway import errors
from gateway.edge import Edge
from gateway.exchange import Exchange
from gateway.http_wire import HttpWire
from gateway.intake import Intake

HOT: dict[bytes, Kind] = {
    b"/v1/chat/completions": "chat",
    b"/v1/completions": "completion",
    b"/v1/embeddings": "embedding",
}
_ONCE = frozenset({b"host", b"content-type", b"content-length", b"transfer-encoding", b"authorization", b"expect"})
LINGER = 2.0
"""Seconds for a client to stop sending and read its refusal: closing on unread bytes would reset the connection."""


class FrontDoor(HttpToolsProtocol):
    """One client connection. Requests are answered in order; those that came too early wait in a bounded queue."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self.edge: Edge = app_state["edge"]
        self.due = NEVER
        self._waiting: deque[Callable[[], None]] = deque()
        self._exchanges: deque[Exchange] = deque()  # in the order of their arrival, the active one first
        self._reading: Exchange | None = None  # whose body is arriving
        self._cold_reading = False
        self._active = False
        self._in_head = False
        self._deaf = False
        self._unparsed = 0

    def __repr__(self) -> str:
        state = "deaf" if self._deaf else "active" if self._active else "idle"
        return f"<FrontDoor {state}, {len(self._waiting)} waiting>"

    # The connection

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows the base class's parameter
        self.edge.sweeper.add(self)
        self.due = self.edge.sweeper.soon(self.edge.bounds.head_time)

    def connection_lost(self, exc: Exception | None) -> None:
        self.edge.sweeper.discard(self)
        self._deaf = True
        self._waiting.clear()
        for exchange in self._exchanges:
            exchange.abandon()
        self._exchanges.clear()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:  # we stay with HTTP/1.1, as a server may
            rest = data[upgrade.args[0] :]
            if rest:
                self.data_received(rest)
        except httptools.HttpParserError:
            self._refuse(errors.MALFORMED_HTTP)
        if self._in_head and not self._deaf:
            self._unparsed += len(data)
            if self._unparsed > self.edge.bounds.head:
                self._refuse(errors.HEAD_TOO_LARGE)

    def shutdown(self) -> None:
        """uvicorn stops: close now, or after the answer that is under way (the wire says so to the client)."""
        if not self._active:
            self.transport.close()
        elif cycle := self._open_cycle():
            cycle.keep_alive = False

    def expire(self, _now: float) -> None:
        self.due = NEVER
        if self._in_head and not self._deaf and not self._active:
            self._refuse(errors.SLOW_HEAD)
        elif self._deaf or self._active:
            self.transport.abort()
        else:
            self.transport.close()

    # The parser's callbacks

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._in_head = True
        self._unparsed = 0
        if not self._active:
            self.due = self.edge.sweeper.soon(self.edge.bounds.head_time)

    def on_header(self, name: bytes, value: bytes) -> None:
        self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._reading = None
        self._cold_reading = False
        if self._deaf:
            return
        headers = dict(self.headers)
        problem = self._judge(headers)
        if problem is not None:
            self._refuse(problem)
            return
        kind = HOT.get(self.url) or HOT.get(_path(self.url))
        if kind is None or self.parser.get_method() != b"POST":
            self._go_cold()
        else:
            self._go_hot(kind, headers)

    def on_body(self, body: bytes) -> None:
        if self._reading is not None:
            self._reading.intake.feed(body)
        elif self._cold_reading:
            super().on_body(body)

    def on_message_complete(self) -> None:
        if self._reading is not None:
            self._reading.intake.end()
            self._reading = None
        elif self._cold_reading:
            self._cold_reading = False
            super().on_message_complete()

    def _judge(self, headers: dict[bytes, bytes]) -> errors.Problem | None:
        bounds = self.edge.bounds
        if len(self.url) > bounds.url:
            return errors.URL_TOO_LONG
        if len(self.headers) > bounds.headers or sum(map(len, chain.from_iterable(self.headers))) > bounds.head:
            return errors.HEAD_TOO_LARGE
        if len(headers) != len(self.headers):
            names = [name for name, _ in self.headers]
            if any(names.count(name) > 1 for name in _ONCE):
                return errors.REPEATED_HEADER
        if len(self._waiting) >= bounds.pipelined:
            return errors.MALFORMED_HTTP
        return None

    # Hot requests

    def _go_hot(self, kind: Kind, headers: dict[bytes, bytes]) -> None:
        http10 = self.parser.get_http_version() == "1.0"
        wire = HttpWire(
            self.transport, self.flow, self._answered, keep=self.parser.should_keep_alive(), http10=http10
        )  # fmt: skip
        intake = Intake(self, self.edge.memory, self.edge.bounds.body, expects=b"expect" in headers and not http10)
        length = headers.get(b"content-length")
        if length is not None:
            intake.expect(int(length))
        exchange = self._reading = Exchange(self.edge, kind, headers, wire, intake)
        self._exchanges.append(exchange)
        if self._active:
            self._waiting.append(partial(self._run, exchange))
        else:
            self._run(exchange)

    def _run(self, exchange: Exchange) -> None:
        self._active = True
        self.due = NEVER
        exchange.task = self.loop.create_task(self.edge.serve(exchange))

    # What an intake may ask of the connection that its body comes from

    def pause_reading(self) -> None:
        self.flow.pause_reading()

    def resume_reading(self) -> None:
        self.flow.resume_reading()

    def send_continue(self) -> None:
        self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Everything else: FastAPI, by the superclass

    def _go_cold(self) -> None:
        url, headers = self.url, self.headers
        super().on_message_begin()  # makes the scope that a hot request does without
        self.url = url
        for name, value in headers:
            super().on_header(name, value)
        self._cold_reading = True
        if self._open_cycle():
            self._leave()  # two cold requests at once: uvicorn would stop reading, and miss the client's leaving
            return
        super().on_headers_complete()

    def _open_cycle(self) -> RequestResponseCycle | None:
        cycle = cast("RequestResponseCycle | None", self.cycle)  # None until there is one, whatever uvicorn's types say
        return cycle if cycle is not None and not cycle.response_complete else None

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        if self._active:
            self._waiting.append(partial(self._run_cold, cycle, app))
        else:
            self._run_cold(cycle, app)

    def _run_cold(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._active = True
        self.due = self.edge.sweeper.soon(self.edge.bounds.body_time)
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        self._next(keep=True)  # the cycle has closed the transport itself if it had to

    # Order

    def _answered(self, keep: bool) -> None:  # noqa: FBT001  # the wire's callback: one bool says it all
        exchange = self._exchanges.popleft()
        self._next(keep=keep and not self._deaf and (exchange.intake.complete or exchange is self._reading))

    def _next(self, *, keep: bool) -> None:
        self._active = False
        self.server_state.total_requests += 1
        if self.transport.is_closing():
            return
        self.flow.resume_reading()
        if not keep or self.edge.traffic.draining:
            self._leave()
        elif self._waiting:
            self._waiting.popleft()()
        else:
            self.due = self.edge.sweeper.soon(self.edge.bounds.idle_time)

    def _refuse(self, problem: errors.Problem) -> None:
        """Answer something that never became a request; behind an answer that is under way, just end after it."""
        self._deaf = True
        if self._active:
            return
        record = self.edge.record("unparsed")
        wire = HttpWire(self.transport, self.flow, lambda _keep: None, keep=False, http10=False)
        body = problem.envelope()
        with self.edge.accounts.open(record):
            record.status, record.code = problem.status, problem.code
            wire.open(problem.status, [(b"x-request-id", record.id.encode()), *problem.headers()], len(body))
            wire.write(body)
        self._leave()

    def _leave(self) -> None:
        """Close once everything written is out and the client has had time to read it."""
        self._deaf = True
        if self._active:
            return
        self.flow.resume_reading()
        self.due = self.edge.sweeper.soon(LINGER)
        if self._reading is None and not self._in_head and not self._cold_reading:
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()


def _path(url: bytes) -> bytes:
    """The path of any spelling of a target: with a query, percent-encoded, or absolute-form."""
    try:
        return unquote_to_bytes(httptools.parse_url(url).path or b"")
    except httptools.HttpParserInvalidURLError:
        return b""
