"""The order of things on one client connection: who is served, who waits, what is refused, and how it ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol, RequestResponseCycle
from uvicorn.server import ServerState

from engines.sweeper import NEVER
from gateway import errors
from gateway.backlog import backlog
from gateway.edge import Edge, own_headers
from gateway.exchange import Exchange
from gateway.http_wire import HttpWire

BUFFER = 16 * 1024
"""Bytes that wait for a client before it counts as behind: many small events take several times their size."""
LINGER = 2.0
"""Seconds for a client to stop sending and read its refusal: closing on unread bytes would reset the connection."""


REFUSED_AT_ONCE = 64
"""Connections over the limit that are told so; more are only cut, so that refusing can't use up what it protects."""


class Turns(HttpToolsProtocol):
    """Requests are answered in the order of their arrival; those that came too early wait in a bounded queue.

    `due` is the sweeper's: it bounds heads, cold requests, idleness, and how long a client may leave answers unread.
    """

    # With ours beside uvicorn's, instances would have more attributes than Python keeps in its quick form.
    __slots__ = (
        "_active", "_arrived", "_backlog", "_broken", "_cold_reading", "_cycles", "_date", "_dated", "_deaf",
        "_exchanges", "_fruitful", "_fruitless", "_in_head", "_reading", "_waiting", "due", "edge",
    )  # fmt: skip

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
        # Lists, as they hold a handful at most: an empty deque takes 760 bytes, of each connection.
        self._waiting: list[Callable[[], None]] = []
        self._exchanges: list[Exchange] = []  # hot ones without a whole answer, in the order of their arrival
        self._cycles: list[RequestResponseCycle] = []  # the same of cold ones
        self._reading: Exchange | None = None  # whose body is arriving
        self._cold_reading = False
        self._active = False
        self._in_head = False
        self._deaf = False
        self._broken = False  # what comes next is not known to be the beginning of a request
        self._backlog = NEVER
        self._dated: list[tuple[bytes, bytes]] | None = None
        self._date = b""
        self._fruitful = False  # whether the present packet brought part of a body, or an end
        self._fruitless = 0  # bytes since then
        self._arrived = 0  # bytes since somewhere before the head that comes next

    def __repr__(self) -> str:
        state = "deaf" if self._deaf else "active" if self._active else "idle"
        return f"<FrontDoor {state}, {len(self._waiting)} waiting>"

    # uvicorn's and the transport's callbacks

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)  # type: ignore[arg-type]  # uvicorn narrows the base class's parameter
        self.transport.set_write_buffer_limits(high=BUFFER)
        self.edge.sweeper.add(self)
        self.edge.protection.idlers.add(self)
        self.due = self.edge.sweeper.soon(self.edge.bounds.head_time)
        crowd = len(self.connections) - self.edge.bounds.connections
        if crowd > 0:
            self._refuse(errors.CROWDED)
            if crowd > REFUSED_AT_ONCE:
                self.transport.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self.edge.sweeper.discard(self)
        self.edge.protection.idlers.discard(self)
        self._deaf = True
        self._waiting.clear()
        for exchange in self._exchanges:
            exchange.abandon()
        self._exchanges.clear()
        for cycle in self._cycles:
            cycle.disconnected = True
            cycle.message_event.set()
        super().connection_lost(exc)

    def eof_received(self) -> bool | None:  # type: ignore[override]  # asyncio's own signature
        """Who closes one side has left, but for a body that ends early: its sender may wait to be told."""
        exchange = self._reading
        if self._in_head and not self._deaf:
            self._refuse(errors.MALFORMED_HTTP)
        elif exchange is not None and exchange.task is not None and not self._deaf and self.scheme == "http":
            exchange.intake.fail(errors.BODY_CUT)
            self._deaf = True
            self._reading = None
            return True
        return None

    def resume_writing(self) -> None:
        super().resume_writing()
        if self._waiting and not self._active:
            self._go_on()

    def shutdown(self) -> None:
        """uvicorn stops: close now, or after the answer that is under way (`stays` says so to the client)."""
        if not self._active:
            self.transport.close()
        for cycle in self._cycles:
            cycle.keep_alive = False

    def expire(self, _now: float) -> None:
        self.due = NEVER
        left = backlog(self.transport)
        if 0 < left < self._backlog:  # slow, but it reads
            self._backlog = float(left)
            self.due = self.edge.sweeper.soon(self.edge.bounds.stall_time)
        elif left or self._active or self._deaf:
            self.transport.abort()
        elif self._in_head:
            self._refuse(errors.SLOW_HEAD)
        else:
            self.transport.close()

    # What who looks for idle connections asks

    @property
    def idle_until(self) -> float:
        """Of one that has had an answer, and has nothing arriving nor leaving."""
        busy = self._active or self._in_head or self._deaf or self._cold_reading or self._reading is not None
        unread = self.flow.write_paused or self.transport.get_write_buffer_size()
        return NEVER if busy or unread or not self._arrived else self.due

    def close_idle(self) -> None:
        self.transport.close()

    # What an answer tells

    def stays(self) -> bool:
        if self.edge.traffic.draining or (self._deaf and not self._waiting):
            return False
        intake = self._exchanges[0].intake
        return intake.complete or intake.disposable

    def date(self) -> bytes:
        defaults = self.server_state.default_headers  # uvicorn makes a new list each second
        if defaults is not self._dated:
            self._dated = defaults
            self._date = b"".join([b"%b: %b\r\n" % pair for pair in defaults])
        return self._date

    def answered(self, keep: bool) -> None:  # noqa: FBT001  # see `http_wire.Line`
        del self._exchanges[0]
        self._next(keep=keep)

    def on_response_complete(self) -> None:
        cycle = self._cycles.pop(0)
        self._next(keep=cycle.keep_alive)

    # Order

    def _enqueue(self, run: Callable[[], None]) -> None:
        if self._active or self.flow.write_paused:
            self._waiting.append(run)
        else:
            self._active = True
            self.due = NEVER
            run()

    def _next(self, *, keep: bool) -> None:
        self._active = False
        self.server_state.total_requests += 1
        self._backlog = NEVER
        flow = self.flow
        if self.transport.is_closing():
            return
        if flow.read_paused:
            flow.resume_reading()
        if not keep or self.edge.traffic.draining or (self._deaf and not self._waiting):
            self._leave()
        elif self._waiting or flow.write_paused:
            self._go_on()
        else:
            self._rest()

    def _go_on(self) -> None:
        """Serve the next in line, unless answers pile up that the client does not read."""
        if self.flow.write_paused:
            self.due = self.edge.sweeper.soon(self.edge.bounds.stall_time)
        else:
            self._active = True
            self.due = NEVER
            self._waiting.pop(0)()

    def _rest(self) -> None:
        bounds = self.edge.bounds
        arriving = self._reading is not None or self._cold_reading
        seconds = bounds.head_time if self._in_head else bounds.body_time if arriving else bounds.idle_time
        self.due = self.edge.sweeper.soon(seconds)

    def _refuse(self, problem: errors.Problem) -> None:
        """Hear no more, and tell the client in its turn: as the answer to what is arriving, or as the last one."""
        self._deaf = self._broken = True
        exchange = self._reading
        if exchange is not None and exchange in self._exchanges:
            exchange.intake.fail(problem)
        elif exchange is None and not self._cold_reading:
            self._enqueue(partial(self._reject, problem))
        elif not self._active:  # the rest of a request that has had its answer
            self._leave()

    def _reject(self, problem: errors.Problem) -> None:
        record = self.edge.record("unparsed")
        wire = HttpWire(self, keep=False, http10=False)
        body = problem.envelope
        with self.edge.accounts.open(record):
            record.status, record.code = problem.status, problem.code
            wire.open(problem.status, own_headers(record.id) + problem.lines, len(body))
            wire.write(body)
        self._active = False
        self._leave()

    def _leave(self) -> None:
        """Close once everything written is out and the client has had time to read it."""
        self._deaf = True
        self.flow.resume_reading()
        self._backlog = NEVER
        self.due = self.edge.sweeper.soon(LINGER)
        if self._reading is None and not self._in_head and not self._cold_reading and not self._broken:
            self.transport.close()
        elif self.transport.can_write_eof():
            self.transport.write_eof()
