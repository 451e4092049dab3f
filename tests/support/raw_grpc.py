"""A gRPC server that says exactly the frames that a test writes, and shows those that it was sent."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager, suppress
from typing import NamedTuple

from tests.support.waiting import PATIENCE

DATA, HEADERS, PRIORITY, RST_STREAM, SETTINGS, PUSH_PROMISE, PING, GOAWAY, WINDOW_UPDATE, CONTINUATION = range(10)
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITISED = 0x1, 0x1, 0x4, 0x8, 0x20
PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"


class Frame(NamedTuple):
    kind: int
    flags: int
    stream: int
    payload: bytes

    @property
    def number(self) -> int:
        """The payload's last four bytes: an error code or an increment."""
        return int.from_bytes(self.payload[-4:], "big")


def frame(kind: int, flags: int, stream: int, payload: bytes = b"") -> bytes:
    return len(payload).to_bytes(3, "big") + bytes((kind, flags)) + stream.to_bytes(4, "big") + payload


def word(number: int) -> bytes:
    return number.to_bytes(4, "big")


def settings(values: Iterable[tuple[int, int]] = ()) -> bytes:
    return frame(SETTINGS, 0, 0, b"".join(struct.pack(">HI", *pair) for pair in values))


def field(name: bytes, value: bytes) -> bytes:
    """A header field of at most 126 bytes each, in plain."""
    return b"\0" + bytes((len(name),)) + name + bytes((len(value),)) + value


def message(content: bytes, *, compressed: bool = False) -> bytes:
    return bytes((compressed,)) + word(len(content)) + content


BEGIN = b"\x88" + field(b"content-type", b"application/grpc")
"""The header block of an answer: 200."""


def trailers(status: int, words: bytes = b"") -> bytes:
    return field(b"grpc-status", b"%d" % status) + (field(b"grpc-message", words) if words else b"")


def begin(stream: int) -> bytes:
    return frame(HEADERS, END_HEADERS, stream, BEGIN)


def say(stream: int, *contents: bytes) -> bytes:
    """Each message in a DATA frame of its own."""
    return b"".join(frame(DATA, 0, stream, message(content)) for content in contents)


def end(stream: int, status: int = 0, words: bytes = b"") -> bytes:
    return frame(HEADERS, END_HEADERS | END_STREAM, stream, trailers(status, words))


def pieces(stream: int, data: bytes, size: int = 16_384) -> Iterable[bytes]:
    """DATA frames."""
    return (frame(DATA, 0, stream, data[at : at + size]) for at in range(0, len(data), size))


class Peer:
    """The server's end of one connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self.writer = writer

    def send(self, *parts: bytes) -> None:
        self.writer.write(b"".join(parts))

    async def take(self) -> Frame:
        """The client's next frame. Raises IncompleteReadError when it has gone."""
        async with asyncio.timeout(PATIENCE):
            head = await self._reader.readexactly(9)
            payload = await self._reader.readexactly(int.from_bytes(head[:3], "big"))
        return Frame(head[3], head[4], int.from_bytes(head[5:], "big"), payload)

    async def until(self, *kinds: int) -> Frame:
        """The client's next frame of one of these kinds; acknowledgements of settings don't count."""
        while (taken := await self.take()).kind not in kinds or (taken.kind == SETTINGS and taken.flags & ACK):
            pass
        return taken

    async def greet(self, values: Iterable[tuple[int, int]] = ()) -> None:
        """Read the client's opening and send ours."""
        async with asyncio.timeout(PATIENCE):
            assert await self._reader.readexactly(len(PREFACE)) == PREFACE
        assert (await self.take()).kind == SETTINGS
        self.send(settings(values), frame(SETTINGS, ACK, 0))

    async def request(self) -> int:
        """The number of the next call, whose request has come to its end."""
        stream = (await self.until(HEADERS)).stream
        while not (await self.until(DATA)).flags & END_STREAM:
            pass
        return stream

    async def gone(self) -> list[Frame]:
        """What the client still sends, until it closes."""
        left: list[Frame] = []
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while True:
                left.append(await self.take())
        return left

    async def dismissed(self) -> int:
        """The error code with which the client closes the connection."""
        (goaway,) = (taken for taken in await self.gone() if taken.kind == GOAWAY)
        return goaway.number

    async def settled(self) -> None:
        """Until the client has read everything that was sent."""
        self.send(frame(PING, 0, 0, b"settled?"))
        while (taken := await self.take()).kind != PING or taken.payload != b"settled?":
            pass


class RawServer:
    """Its `port`; `await server.peer()` is the next connection that was made to it."""

    def __init__(self) -> None:
        self._peers: asyncio.Queue[Peer] = asyncio.Queue()
        self.port = 0

    def accept(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._peers.put_nowait(Peer(reader, writer))

    async def peer(self, values: Iterable[tuple[int, int]] | None = ()) -> Peer:
        """`values` are its settings; with None it is left to the test what it says first."""
        async with asyncio.timeout(PATIENCE):
            peer = await self._peers.get()
        if values is not None:
            await peer.greet(values)
        return peer


@asynccontextmanager
async def raw_serving(port: int = 0) -> AsyncIterator[RawServer]:
    """Accepts connections while the block runs; all are closed at its end."""
    raw = RawServer()
    writers: list[asyncio.StreamWriter] = []

    def accept(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writers.append(writer)
        raw.accept(reader, writer)

    server = await asyncio.start_server(accept, "127.0.0.1", port, limit=2**24)
    raw.port = server.sockets[0].getsockname()[1]
    try:
        yield raw
    finally:
        server.close()
        for writer in writers:
            writer.transport.abort()
        await server.wait_closed()
