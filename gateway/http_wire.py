"""One answer on its way out over HTTP/1.1: head, framing, end; bytes straight to the transport."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import Protocol

from uvicorn.protocols.http.flow_control import FlowControl

from gateway.backlog import backlog

STATUS_LINES = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}


TOGETHER = 16 * 1024
"""Bytes of a stream's beginning that do not wait for more."""


class Line(Protocol):
    """The connection that answers go out on."""

    transport: asyncio.Transport
    flow: FlowControl

    def date(self) -> bytes:
        """The header line that says when."""
        ...

    def stays(self) -> bool:
        """Whether the connection could serve another request after the answer that begins now."""
        ...

    def answered(self, keep: bool) -> None:  # noqa: FBT001  # one bool says it all
        """The answer is complete; `keep`: as it told the client, the connection stays open."""


class HttpWire:
    """The way out for one request of a connection.

    The head waits for the first bytes of the body, and those of a stream for what follows in the same turn of the loop:
    all leave in one packet.
    """

    __slots__ = ("_chunked", "_flow", "_held", "_http10", "_keep", "_leaving", "_line", "_transport")

    def __init__(self, line: Line, *, keep: bool, http10: bool) -> None:
        self._line = line
        self._transport = line.transport
        self._flow = line.flow
        self._keep = keep
        self._http10 = http10
        self._chunked = False
        self._held = b""
        self._leaving = False

    def __repr__(self) -> str:
        return f"<HttpWire {'chunked' if self._chunked else 'sized'}{', keeps' if self._keep else ''}>"

    @property
    def paused(self) -> bool:
        """Whether the client is behind by more than the transport's high-water mark."""
        return self._flow.write_paused

    @property
    def backlog(self) -> int:
        """Bytes that the client has still to take."""
        return backlog(self._transport)

    def open(self, status: int, lines: bytes, length: int | None, *, close: bool = False) -> None:
        """Status and headers; a stream is chunked, or for HTTP/1.0 ended by closing."""
        line = self._line
        self._keep = self._keep and not close and line.stays() and (length is not None or not self._http10)
        if length is not None:
            framing = b"content-length: %d\r\n" % length
        elif self._http10:
            framing = b""
        else:
            self._chunked = True
            framing = b"transfer-encoding: chunked\r\n"
        if not self._keep:
            framing += b"connection: close\r\n"
        elif self._http10:
            framing += b"connection: keep-alive\r\n"
        self._held = b"".join((STATUS_LINES[status], line.date(), lines, framing, b"\r\n"))

    def write(self, data: bytes) -> bool:
        if self._chunked:
            data = b"%x\r\n%b\r\n" % (len(data), data)
        if not self._held:
            self._send(data)
        elif self._chunked:
            self._hold(data)
        else:
            self._send(self._held + data)
            self._held = b""
        return not self._flow.write_paused

    async def drain(self) -> None:
        await self._flow.drain()

    def end(self) -> None:
        if self._chunked:
            self._held += b"0\r\n\r\n"
        self._leave()
        self._line.answered(self._keep)

    def abort(self) -> None:
        """Cut the connection: the client must not take what it has for a whole answer."""
        self._held = b""
        self._transport.abort()

    def _hold(self, data: bytes) -> None:
        self._held += data
        if len(self._held) > TOGETHER:
            self._leave()
        elif not self._leaving:
            self._leaving = True
            asyncio.get_running_loop().call_soon(self._leave)

    def _leave(self) -> None:
        held, self._held = self._held, b""
        if held:
            self._send(held)

    def _send(self, data: bytes) -> None:
        if not self._transport.is_closing():  # the client may have left in this turn; uvloop would raise at that
            self._transport.write(data)
