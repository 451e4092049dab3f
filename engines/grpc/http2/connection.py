"""One HTTP/2 connection to a gRPC server, and the calls that it carries."""

from __future__ import annotations

import asyncio
from typing import Literal, Protocol, cast

from engines.grpc.api import Code
from engines.grpc.http2 import frames
from engines.grpc.http2.bundle import Bundle
from engines.grpc.http2.flood import Flood
from engines.grpc.http2.frames import MAX_STREAM, ErrorCode, Violation
from engines.grpc.http2.inflow import Inflow
from engines.grpc.http2.outflow import Outflow
from engines.grpc.http2.request import time_left
from engines.grpc.http2.response import Head, Heads, conclusion, refusal
from engines.grpc.http2.status import Ending, error_name, of_reset
from engines.grpc.http2.stream import Stream
from engines.grpc.http2.terms import Terms

State = Literal["opening", "ready", "draining", "closed"]

LOST = Ending(Code.UNAVAILABLE, "the connection to the server broke")
UNTOUCHED = Ending(Code.UNAVAILABLE, "the server closes the connection and did not begin the call")
USED_UP = Ending(Code.UNAVAILABLE, "the connection has no numbers left for calls")


class Owner(Protocol):
    """Who is told what happens to a connection: the channel."""

    def has_room(self) -> None:
        """It may carry more calls than before."""

    def ended(self, stream: Stream) -> None:
        """A call that it carried is over."""

    def useless(self, connection: Connection, reason: Ending) -> None:
        """It was ready, and carries no new calls from now on. Told once."""


class Connection(asyncio.Protocol):
    """`opened` is done when the server's SETTINGS came, or never will; `closed` with the socket. Ends by itself when
    the server goes away and the last call is over.
    """

    def __init__(self, loop: asyncio.AbstractEventLoop, owner: Owner, heads: Heads) -> None:
        self._loop = loop
        self._owner = owner
        self._transport: asyncio.Transport | None = None
        self._terms = Terms()
        self._outflow = Outflow(self._terms, self.write)
        self._bundle = Bundle(loop, self._send)
        self._flood = Flood(loop.time, self._outflow)
        self._next = 1
        self.streams: dict[int, Stream] = {}
        self.state: State = "opening"
        self.reason = LOST
        self.opening: asyncio.Future[None] = loop.create_future()
        self.closed: asyncio.Future[None] = loop.create_future()
        self._inflow = Inflow(self, heads, self._flood)

    def __repr__(self) -> str:
        return f"<Connection {self.state}, {len(self.streams)}/{self._terms.max_streams} calls, {self._outflow!r}>"

    # What the channel calls

    @property
    def room(self) -> bool:
        """Whether one more call may start."""
        return self.state == "ready" and len(self.streams) < self._terms.max_streams and not self._outflow.paused

    @property
    def unused(self) -> bool:
        return self._next == 1

    def start(self, stream: Stream) -> None:
        """Only where there is room."""
        ident = self._next
        self._next += 2
        self.streams[ident] = stream
        block, message = stream.carried_by(self, ident)
        if stream.due is not None:
            block += time_left(max(stream.due - self._loop.time(), 0.0))
        self._outflow.send(ident, block, message)
        if self._next > MAX_STREAM:
            self._drain(USED_UP)

    def close(self, reason: Ending, code: ErrorCode = ErrorCode.NO_ERROR) -> None:
        """At once: each call ends with `reason`. The socket follows when the last bytes are out."""
        if self.state != "closed":
            self.write(frames.goaway(code))
            self._bundle.send()
            self._end(reason)
        if self._transport is not None:
            self._transport.close()

    def abort(self) -> None:
        self._end(self.reason)
        if self._transport is not None:
            self._transport.abort()

    # What a stream calls

    def drop(self, stream: Stream, code: ErrorCode) -> None:
        self.write(frames.reset(stream.ident, code))
        self._outflow.stop(stream.ident)
        self._forget(stream)

    def refill(self, stream: Stream, size: int) -> None:
        self.write(frames.window_update(stream.ident, size))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._transport.write(frames.OPENING)

    def data_received(self, data: bytes) -> None:
        if self.state == "closed":
            return
        try:
            self._inflow.feed(data)
        except Violation as violation:
            self.close(Ending(Code.INTERNAL, f"the server broke the protocol: {violation.words}"), violation.code)

    def pause_writing(self) -> None:
        self._outflow.paused = True

    def resume_writing(self) -> None:
        self._outflow.paused = False
        self._outflow.pump()
        self._owner.has_room()

    def connection_lost(self, exc: Exception | None) -> None:
        self._end(self.reason)
        self._transport = None
        self.closed.set_result(None)

    # What the frames say

    def write(self, data: bytes) -> None:
        if self._transport is not None and self.state != "closed":
            self._bundle.add(data)

    def opened(self, ident: int) -> Stream | None:
        """The call of that number; None if it is over. Raises Violation if there never was one."""
        stream = self.streams.get(ident)
        if stream is None and (not ident & 1 or ident >= self._next):
            raise Violation(ErrorCode.PROTOCOL_ERROR, "a frame for a stream that was never opened")
        return stream

    def data(self, ident: int, payload: bytes, span: tuple[int, int], *, ended: bool) -> None:
        stream = self.opened(ident)
        if stream is None:
            return
        if not stream.began:
            stream.abandon(Ending(Code.INTERNAL, "the server sent data before headers"), ErrorCode.PROTOCOL_ERROR)
            return
        start, end = span
        stream.receive(payload, start, end, len(payload) - (end - start))
        if ended and ident in self.streams:
            self._finish(stream, Ending(Code.INTERNAL, "the server ended the call without a status"))

    def headers(self, stream: Stream, head: Head, *, ended: bool) -> None:
        if ended:
            self._finish(stream, conclusion(head, first=not stream.began))
        elif stream.began:
            stream.abandon(Ending(Code.INTERNAL, "the server sent headers twice"), ErrorCode.PROTOCOL_ERROR)
        elif head.http is not None and 100 <= head.http < 200:
            self._flood.count()
        elif (ending := refusal(head)) is not None:
            stream.abandon(ending, ErrorCode.CANCEL)
        else:
            stream.began = True

    def reset(self, ident: int, code: int) -> None:
        stream = self.opened(ident)
        if stream is not None:
            self._outflow.stop(ident)
            self._finish(stream, of_reset(code))

    def settings(self, payload: bytes) -> None:
        window = self._terms.window
        self._terms.change(payload)
        self.write(frames.SETTINGS_ACK)
        if self.state == "opening":
            self.state = "ready"
            self._announce()
        self._outflow.terms_changed(window)
        self._owner.has_room()

    def goaway(self, last: int, code: int, words: bytes) -> None:
        details = f"the server closes the connection: {error_name(code)} {words[:200].decode(errors='replace')}"
        self._drain(Ending(Code.UNAVAILABLE, details))  # first, or waiting calls take the place of those that end now
        for ident, stream in list(self.streams.items()):
            if ident > last:
                self._outflow.stop(ident)
                self._forget(stream)
                stream.finish(UNTOUCHED)

    def widen(self, ident: int, increment: int) -> None:
        if not ident:
            self._outflow.widen(increment)
        elif (stream := self.opened(ident)) is not None and (code := self._outflow.widen_stream(ident, increment)):
            stream.abandon(Ending(Code.INTERNAL, "the server broke the protocol: a wrong window"), code)

    # Inside

    def _send(self, data: bytes) -> None:
        if self._transport is not None and self.state != "closed":
            self._transport.write(data)

    def _announce(self) -> None:
        if not self.opening.done():
            self.opening.set_result(None)

    def _finish(self, stream: Stream, ending: Ending) -> None:
        """The server said its last word to a call."""
        if self._outflow.stop(stream.ident):  # it did not want to hear all of the request
            self.write(frames.reset(stream.ident, ErrorCode.CANCEL))
        self._forget(stream)
        stream.finish(ending)

    def _forget(self, stream: Stream) -> None:
        del self.streams[stream.ident]
        self._owner.ended(stream)
        if self.state == "draining" and not self.streams:
            self.close(self.reason)

    def _drain(self, reason: Ending) -> None:
        if self.state == "ready":
            self.state, self.reason = "draining", reason
            self._owner.useless(self, reason)
        if not self.streams:
            self.close(reason)

    def _end(self, reason: Ending) -> None:
        before, self.state = self.state, "closed"
        if before == "closed":
            return
        self.reason = reason
        self._announce()
        streams = list(self.streams.values())
        self.streams.clear()
        for stream in streams:
            self._owner.ended(stream)
            stream.finish(reason)
        if before == "ready":
            self._owner.useless(self, reason)
