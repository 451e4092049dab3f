"""One call: what its reader sees, and the bytes that are held while the reader is busy."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from struct import Struct
from typing import Protocol

from engines.grpc.api import Code, RpcError
from engines.grpc.http2.frames import STREAM_WINDOW, ErrorCode
from engines.grpc.http2.status import Ending

PREFIX = Struct(">BI")
"""Before each message: whether it is compressed, and its size in bytes."""
PREFIX_SIZE = 5
LOW_WINDOW = STREAM_WINDOW // 2

CANCELLED = Ending(Code.CANCELLED, "cancelled by us")
CUT_SHORT = Ending(Code.INTERNAL, "the call ended within a message")


class Carrier(Protocol):
    """Who has a call in hand: the channel while it waits for a connection, then the connection."""

    def drop(self, stream: Stream, code: ErrorCode) -> None:
        """Forget an unfinished call; tell the server if it knows of it."""

    def refill(self, stream: Stream, size: int) -> None:
        """Let the server send `size` more bytes."""


class Stream:
    """An `Rpc`. `ident` is its number on the connection, 0 before it has one.

    `_window` counts the bytes that the server may still send. Together with those held it is never more than
    STREAM_WINDOW, except while a reader waits for a message that is bigger.
    """

    __slots__ = (
        "_carrier", "_end", "_into", "_loop", "_max_message", "_ready", "_tail", "_told", "_waiter", "_window",
        "began", "block", "due", "ident", "message",
    )  # fmt: skip

    def __init__(self, loop: asyncio.AbstractEventLoop, carrier: Carrier, max_message: int) -> None:
        self._loop = loop
        self._carrier = carrier
        self._max_message = max_message
        self._window = STREAM_WINDOW
        self._ready: bytes | None = None  # the next message, if it came whole while nothing was held
        self._tail = bytearray()  # what came after that, as it came
        self._into: Callable[[bytes], bool] | None = None
        self._waiter: asyncio.Future[None] | None = None
        self._end: Ending | None = None
        self._told = False  # whether the reader knows of the end
        self.ident = 0
        self.began = False  # whether the response's first header block came
        self.block = b""  # until it is sent: the request
        self.message = b""
        self.due: float | None = None

    def __repr__(self) -> str:
        state = self._end.code.name if self._end else "under way" if self.ident else "waiting"
        return f"<Stream {self.ident} {state}, {self.held} B held>"

    @property
    def held(self) -> int:
        """Bytes that came and were not taken."""
        return len(self._tail) + (0 if self._ready is None else len(self._ready) + PREFIX_SIZE)

    @property
    def over(self) -> bool:
        return self._end is not None

    # What the reader calls

    async def read(self) -> bytes | None:
        while (message := self._take()) is None:
            if self._end is not None:
                self._tell()
                return None
            await self._more()
        return message

    async def flow(self, into: Callable[[bytes], bool]) -> None:
        while (message := self._take()) is not None:
            if not into(message):
                return
        if self._end is None:
            self._into = into
            await self._more()

    def cancel(self) -> None:
        if not self._told:
            self.abandon(CANCELLED, ErrorCode.CANCEL)

    # What the connection calls

    def carried_by(self, carrier: Carrier, ident: int) -> tuple[bytes, bytes]:
        """From now on. Gives away the request: its header block and its message."""
        self._carrier = carrier
        self.ident = ident
        request = self.block, self.message
        self.block = self.message = b""
        return request

    def receive(self, data: bytes, start: int, end: int, overhead: int = 0) -> None:
        """`data[start:end]` is the next piece of messages; it took `overhead` bytes of the window besides."""
        size = end - start
        self._window -= size + overhead
        if self._window < 0:
            self.abandon(Ending(Code.INTERNAL, "the server sent more than it may"), ErrorCode.FLOW_CONTROL_ERROR)
            return
        if size >= PREFIX_SIZE and self._ready is None and not self._tail:
            compressed, length = PREFIX.unpack_from(data, start)
            if length == size - PREFIX_SIZE and not compressed and length <= self._max_message:
                self._arrived(data[start + PREFIX_SIZE : end])
                return
        self._tail += data[start:end]
        self._look()

    def finish(self, ending: Ending) -> None:
        """The server ended the call: what it sent before can still be read."""
        if self._end is None:
            self._end = ending
            self._let_go()

    def abandon(self, ending: Ending, code: ErrorCode) -> None:
        """We end the call, and drop what is held; also if the server ended it before, and the reader does not know."""
        if self._end is None:
            self._carrier.drop(self, code)
        self._end = ending
        self._ready = None
        self._tail = bytearray()
        self._let_go()

    # Inside

    def _arrived(self, message: bytes) -> None:
        """A message came whole while nothing was held."""
        if self._into is None:
            self._ready = message
            self._wake()
            return
        self._pass(message)
        if self._window < LOW_WINDOW:
            self._refill()

    def _look(self) -> None:
        """Whether what is held makes a message that somebody waits for."""
        while self._into is not None and (message := self._take()) is not None:
            self._pass(message)
        if self._waiter is not None and self._ready is None and (message := self._split()) is not None:
            self._ready = message
            self._wake()
        if self._window < LOW_WINDOW:
            self._refill()

    def _take(self) -> bytes | None:
        """The next message that is here, whole."""
        message = self._ready
        if message is not None:
            self._ready = None
        elif not self._tail or (message := self._split()) is None:
            return None
        if self._window < LOW_WINDOW:
            self._refill()
        return message

    def _split(self) -> bytes | None:
        """The first message of the tail, if it is whole. Ends the call if it is one that we can't take."""
        tail = self._tail
        if len(tail) < PREFIX_SIZE:
            return None
        compressed, length = PREFIX.unpack_from(tail)
        if compressed:
            self.abandon(Ending(Code.INTERNAL, "the server sent a compressed message"), ErrorCode.CANCEL)
            return None
        if length > self._max_message:
            words = f"a message of {length} bytes; the limit is {self._max_message}"
            self.abandon(Ending(Code.RESOURCE_EXHAUSTED, words), ErrorCode.CANCEL)
            return None
        end = PREFIX_SIZE + length
        if len(tail) < end:
            return None
        with memoryview(tail) as view:
            message = bytes(view[PREFIX_SIZE:end])
        del tail[:end]
        return message

    def _refill(self) -> None:
        """Let the server send again as much as was taken. What waits to become whole is as good as taken by whoever
        waits for it.
        """
        if self._end is not None:
            return
        size = STREAM_WINDOW - self._window
        if self._ready is not None or self._waiter is None:
            size -= self.held
        if size >= LOW_WINDOW:
            self._window += size
            self._carrier.refill(self, size)

    def _pass(self, message: bytes) -> None:
        into = self._into
        assert into is not None
        try:
            if not into(message):
                self._wake()
        except Exception as error:  # noqa: BLE001 - it is the reader's own: it belongs to whoever waits in `flow`
            waiter, self._waiter, self._into = self._waiter, None, None
            if waiter is not None and not waiter.done():
                waiter.set_exception(error)

    async def _more(self) -> None:
        """Until something has happened."""
        waiter = self._waiter = self._loop.create_future()
        if self._window < LOW_WINDOW:
            self._refill()
        try:
            await waiter
        finally:
            self._waiter = self._into = None

    def _wake(self) -> None:
        waiter = self._waiter
        self._into = None
        if waiter is not None:
            self._waiter = None
            if not waiter.done():  # else its reader was cancelled
                waiter.set_result(None)

    def _let_go(self) -> None:
        """The request is of no more use, and whoever waits has to look."""
        self.message = self.block = b""
        self._wake()

    def _tell(self) -> None:
        """Raises what the call ended with, unless that is OK."""
        self._told = True
        assert self._end is not None
        if self._tail and self._end.code is Code.OK:
            self._end = CUT_SHORT
        self._tail = bytearray()
        if self._end.code is not Code.OK:
            raise RpcError(*self._end)
