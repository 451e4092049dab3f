"""One HTTP/1.1 connection to a model server: a request out, its response in, parsed in C, read by one coroutine."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Literal, cast

import httptools

from engines.api import EngineError, Failed, TimedOut, Timers, Unreachable
from engines.sweeper import NEVER, TICK, Sweeper

MAX_HEAD = 64 * 1024
PAUSE_AT = 32 * 1024
"""Bytes held for a reader that is behind before the server is made to wait."""
LANDING = 32 * 1024
"""Bytes read at a time: the event loop's own choice, 256 kB, would be what a stream may hold in all."""

State = Literal["idle", "head", "body", "complete", "closed"]


class Connection(asyncio.BufferedProtocol):
    """Serves one request at a time; `due` is when the present wait has lasted too long (see `engines.sweeper`).

    A connection goes back to its pool only when a response ended cleanly and the server keeps it open; everything
    else aborts it, at once and without waiting.
    """

    __slots__ = (
        "_buffered", "_chunks", "_head_bytes", "_into", "_keep", "_landing", "_loop", "_lost", "_on_free", "_parser",
        "_patience", "_phase_due", "_sweeper", "_timers", "_transport", "_until_eof", "_waiter", "due", "error",
        "first", "headers", "heard", "lingering", "paused", "reused", "state", "status",
    )  # fmt: skip

    def __init__(
        self,
        sweeper: Sweeper,
        timers: Timers,
        on_free: Callable[[Connection], None],
        lost: Callable[[Connection], None],
        landing: memoryview,
    ) -> None:
        self._loop = asyncio.get_running_loop()
        self._sweeper = sweeper
        self._timers = timers
        self._patience = TICK + timers.inter_token  # after the sweeper's last look
        self._on_free = on_free
        self._lost = lost
        self._landing = landing  # where reads land; shared, as each is parsed before the next begins
        self._transport: asyncio.Transport | None = None
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self._into: Callable[[bytes], bool] | None = None
        self._chunks: list[bytes] = []
        self.due = NEVER
        self.reused = False
        self.state: State = "idle"
        self._prepare()

    def __repr__(self) -> str:
        return f"<Connection {self.state}, {self._buffered} B held{', paused' if self.paused else ''}>"

    def _prepare(self) -> None:
        self.status = 0
        self.headers: dict[bytes, bytes] = {}
        self.error: EngineError | None = None
        self.heard = False  # whether any byte of this response has come
        self.first = True  # whether the first content is still awaited
        self.paused = False
        self.lingering = False
        self._until_eof = False
        self._keep = False
        self._phase_due = NEVER
        self._head_bytes = 0
        self._buffered = 0

    # What the pool and the replies call

    def send(self, request: bytes) -> None:
        """Write a whole request; the time for the first token runs from here."""
        self._prepare()
        self.state = "head"
        self._phase_due = self._sweeper.soon(self._timers.first_token)
        assert self._transport is not None  # the pool hands out connected ones only
        self._transport.write(request)

    def check(self) -> None:
        """Raises what has broken the connection before anything of a body came."""
        if self.error is not None and not self._chunks:
            raise self.error

    async def read(self) -> bytes:
        """The bytes of the body that have come since; b"" at its end. Raises EngineError once it is broken."""
        while not (data := self.take()) and self.state == "body":
            await self.more()
        return data

    def take(self) -> bytes:
        """What `read` gives, without waiting: b"" too where nothing has come yet, which `state` tells ("body")."""
        chunks = self._chunks
        if not chunks:
            if self.error is not None:
                raise self.error
            if self.state == "closed":
                raise Failed("The connection to the model server is closed.")
            return b""
        data = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        chunks.clear()
        self._buffered = 0
        if self.paused and self._transport is not None:
            self.paused = False
            self._transport.resume_reading()
        return data

    def more(self) -> asyncio.Future[None]:
        """To be awaited at once: done when something has happened. The timer of the present phase runs meanwhile."""
        self.due = self._phase_due if self.first else self._sweeper.soon(self._timers.inter_token)
        waiter = self._waiter = self._loop.create_future()
        return waiter

    def flow(self, into: Callable[[bytes], bool]) -> asyncio.Future[None]:
        """Like `more`, but the body goes straight to `into`, as it comes, until that returns False."""
        self._into = into
        return self.more()

    def content_began(self) -> None:
        """From now on the inter-token limit holds instead of the first-token one."""
        self.first = False

    def release(self, *, whole: bool = False) -> None:
        """Done with the response. `whole`: its content ended, only the framing may be missing. Never waits."""
        self._into = None
        if self.state == "complete":
            self._free()
        elif whole and self.state == "body" and self.error is None:
            self.lingering = True  # the last chunk's terminator often comes in a packet of its own
            self.due = self._sweeper.soon(1.0)
        else:
            self.abort()

    def abort(self) -> None:
        """Close at once; whoever still reads is told."""
        if self._transport is not None:
            self._transport.abort()
        self.state = "closed"
        self.due = NEVER
        self._wake()

    def rest_until(self, due: float) -> None:
        """Idle in the pool; `due` is when it has lain there for too long."""
        self.state = "idle"
        self.reused = True
        self.due = due

    def expire(self, _now: float) -> None:
        if self.state == "idle" or self.lingering:
            self.abort()
        elif self.first:
            self._break(TimedOut("first_token", self._timers.first_token))
        else:
            self._break(TimedOut("inter_token", self._timers.inter_token))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)

    def get_buffer(self, _sizehint: int) -> memoryview:
        return self._landing

    def buffer_updated(self, nbytes: int) -> None:
        if self.state not in ("head", "body"):
            self._unasked()
            return
        self.heard = True
        try:
            self._parser.feed_data(self._landing[:nbytes])
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if self.state in ("head", "body"):
                self._break(Failed("The model server did not answer in HTTP."))
            else:
                self._unasked()
        if self.state == "head":
            self._head_bytes += nbytes
            if self._head_bytes > MAX_HEAD:
                self._break(Failed("The model server sent too large a head."))

    def eof_received(self) -> bool:
        return False

    def connection_lost(self, exc: Exception | None) -> None:
        if self.state == "body" and self._until_eof and exc is None:
            self.on_message_complete()
        elif self.state in ("head", "body"):
            self._break(
                Failed("The model server closed the connection early.", died=True)
                if self.heard
                else Unreachable("The model server closed the connection without an answer.", died=True)
            )
        self.state = "complete" if self.state == "complete" and not self.lingering else "closed"
        self.due = NEVER
        self._transport = None
        self._lost(self)

    # httptools callbacks

    def on_message_begin(self) -> None:
        if self.state != "head":
            raise ValueError("a second response")  # makes the parser stop

    def on_header(self, name: bytes, value: bytes) -> None:
        if self.state == "head":  # not a trailer
            self.headers[name.lower()] = value

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        if status < 200:
            self.headers = {}  # interim: the response is still to come
            return
        self.status = status
        self._keep = self._parser.should_keep_alive()
        self._until_eof = b"content-length" not in self.headers and b"chunked" not in self.headers.get(
            b"transfer-encoding", b""
        )
        self.state = "body"
        self._wake()

    def on_body(self, data: bytes) -> None:
        if self._into is not None:
            if self._into(data):
                self.due = self._sweeper.now + self._patience
            else:
                self._wake()
            return
        self._chunks.append(data)
        self._buffered += len(data)
        if self._buffered > PAUSE_AT and not self.paused and self._transport is not None:
            self.paused = True
            self._transport.pause_reading()
        if self._waiter is not None:
            self._wake()

    def on_message_complete(self) -> None:
        if self.state != "body":
            return  # the end of an interim response
        self.state = "complete"
        if self.lingering:
            self._free()
        self._wake()

    # Inside

    def _unasked(self) -> None:
        """More than one answer came: whatever it is, it must not be taken for the next one."""
        self._keep = False
        if self.state == "idle":
            self.abort()

    def _free(self) -> None:
        """Back to the pool, or closed if it can't serve another request."""
        self.lingering = False
        transport = self._transport
        if (
            transport is None
            or transport.is_closing()
            or not self._keep
            or self.paused
            or transport.get_write_buffer_size()
        ):
            self.abort()
            return
        self._chunks.clear()
        self._on_free(self)

    def _wake(self) -> None:
        waiter = self._waiter
        self._into = None
        if waiter is not None:
            self._waiter = None
            self.due = NEVER
            if not waiter.done():  # else its reader was cancelled
                waiter.set_result(None)

    def _break(self, error: EngineError) -> None:
        self.error = self.error or error
        self.abort()
