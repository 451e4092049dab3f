"""Calls over our own HTTP/2 connections: which of them carries a call, and when a new one is made."""

from __future__ import annotations

import asyncio
from collections import OrderedDict

from engines.grpc.api import Code, Metadata
from engines.grpc.http2.connection import Connection
from engines.grpc.http2.deadlines import PASSED, Deadlines
from engines.grpc.http2.dialling import Dialling
from engines.grpc.http2.frames import ErrorCode
from engines.grpc.http2.reconnecting import BackOff
from engines.grpc.http2.request import Requests
from engines.grpc.http2.response import Heads
from engines.grpc.http2.status import Ending
from engines.grpc.http2.stream import Stream
from engines.grpc.tls import Tls

LEAVE = 1.0
"""Seconds for the last bytes of a connection that is closed."""
CLOSED = Ending(Code.UNAVAILABLE, "the channel was closed")


class Http2Channel:
    """`connections` to `target` (host:port), made when the first call comes, on the loop that runs then. A call goes to
    the one that carries the fewest.

    `max_message` bytes may come in one message. A connection that was not ready within `connect_timeout` seconds, or
    was refused, fails the calls that waited for it, and those of a short time thereafter.
    """

    def __init__(
        self, target: str, *, tls: Tls | None, connections: int, max_message: int, connect_timeout: float
    ) -> None:
        self._target = target
        self._limit = connections
        self._max_message = max_message
        self._connect_timeout = connect_timeout
        self._dialling = Dialling(target, tls)
        self._requests = Requests((tls and tls.server_name) or target, secure=tls is not None)
        self._heads = Heads()
        self._deadlines = Deadlines()
        self._back_off = BackOff()
        self._waiting: OrderedDict[Stream, None] = OrderedDict()
        self._ready: list[Connection] = []  # those that carry new calls
        self._connections: set[Connection] = set()  # those and the ones that still carry old calls
        self._connecting: set[asyncio.Task[None]] = set()
        self._trouble = CLOSED  # why the last connection could not be made
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{sum(len(c.streams) for c in self._connections)} calls"
        connections = f"{len(self._ready)}/{self._limit} connections + {len(self._connecting)}"
        return f"<Http2Channel {self._target} [{connections}, {state}, {len(self._waiting)} waiting]>"

    def open(self, method: str, message: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> Stream:
        loop = asyncio.get_running_loop()
        stream = Stream(loop, self, self._max_message)
        if self._closed:
            stream.finish(CLOSED)
            return stream
        try:
            stream.block, stream.message = self._requests.block(method, metadata), message
        except ValueError as error:
            stream.finish(Ending(Code.INTERNAL, str(error)))
            return stream
        if timeout is not None:
            if timeout <= 0:
                stream.finish(PASSED)
                return stream
            stream.due = loop.time() + timeout
            self._deadlines.add(stream)
        self._waiting[stream] = None
        self._grow()
        self.has_room()
        return stream

    async def aclose(self) -> None:
        self._closed = True
        for connecting in self._connecting:
            connecting.cancel()
        self._fail_waiting(CLOSED)
        self._deadlines.close()
        left = [*self._connecting, *(connection.closed for connection in self._connections)]
        for connection in tuple(self._connections):
            connection.close(CLOSED)
        if left:
            await asyncio.wait(left, timeout=LEAVE)
        for connection in tuple(self._connections):
            connection.abort()
            await connection.closed

    # What a waiting stream calls

    def drop(self, stream: Stream, code: ErrorCode) -> None:
        self._waiting.pop(stream, None)
        self.ended(stream)

    def refill(self, stream: Stream, size: int) -> None:
        """Nothing came yet."""

    # What a connection calls

    def has_room(self) -> None:
        while self._waiting and (connection := self._emptiest()) is not None:
            connection.start(self._waiting.popitem(last=False)[0])
        if self._waiting:
            self._grow()

    def ended(self, stream: Stream) -> None:
        if stream.due is not None:
            self._deadlines.discard(stream)
        if self._waiting:
            self.has_room()

    def useless(self, connection: Connection, reason: Ending) -> None:
        if connection in self._ready:
            self._ready.remove(connection)
        if connection.unused:
            self._failed(reason)
        else:
            self._back_off.worked()
            if self._waiting:
                self.has_room()

    # Inside

    def _emptiest(self) -> Connection | None:
        best = None
        for connection in self._ready:
            if connection.room and (best is None or len(connection.streams) < len(best.streams)):
                best = connection
        return best

    def _grow(self) -> None:
        """Make the connections that are missing, if that was not tried just now."""
        missing = self._limit - len(self._ready) - len(self._connecting)
        if missing <= 0 or self._closed:
            return
        loop = asyncio.get_running_loop()
        if self._back_off.may_try(loop.time()):
            for _ in range(missing):
                connecting = loop.create_task(self._connect())
                self._connecting.add(connecting)
                connecting.add_done_callback(self._connecting.discard)
        elif not self._ready and not self._connecting:
            self._fail_waiting(self._trouble)

    async def _connect(self) -> None:
        loop, attempt = asyncio.get_running_loop(), asyncio.current_task()
        assert attempt is not None
        try:
            async with asyncio.timeout(self._connect_timeout):
                connection = await self._dialling.connect(lambda: Connection(loop, self, self._heads))
        except TimeoutError:
            trouble = f"no connection within {self._connect_timeout:g} s"
        except Exception as error:  # noqa: BLE001 - whatever it is, calls must not wait for it
            trouble = f"no connection: {error}"
        else:
            self._connecting.discard(attempt)
            self._connected(connection)
            return
        self._connecting.discard(attempt)
        self._failed(Ending(Code.UNAVAILABLE, trouble))

    def _connected(self, connection: Connection) -> None:
        self._connections.add(connection)
        connection.closed.add_done_callback(lambda _: self._connections.discard(connection))
        self._ready.append(connection)
        self.has_room()

    def _failed(self, trouble: Ending) -> None:
        self._trouble = trouble
        self._back_off.failed(asyncio.get_running_loop().time())
        if not self._ready and not self._connecting:
            self._fail_waiting(trouble)

    def _fail_waiting(self, ending: Ending) -> None:
        waiting, self._waiting = self._waiting, OrderedDict()
        for stream in waiting:
            self._deadlines.discard(stream)
            stream.finish(ending)
