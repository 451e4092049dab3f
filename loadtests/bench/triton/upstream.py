"""A Triton that replays: HTTP/2 by hand, as little work per token as Python allows, so that a core feeds any reader.

A prompt says how: `@@every_ms=20,tokens=100,aligned=1@@`. Streams speak each at its own time, or all in the same
instant as a model does that steps all its requests together. Each answer fits a stream's window; that of a connection
is heeded, for a reader that was held up for a moment may have left a dozen volleys unread.

    python -m loadtests.bench.triton.upstream PORT
"""

from __future__ import annotations

import asyncio
import itertools
import re
import sys
from collections import deque
from functools import partial
from struct import Struct
from typing import cast

import hpack

from loadtests.bench.triton import replies
from loadtests.bench.upstream import FineLoop

HEAD = Struct(">IBI")  # length and type in one; flags; stream
PREFACE = len(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
DATA, HEADERS, RESET, SETTINGS, PING, WINDOW_UPDATE = 0, 1, 3, 4, 6, 8
END_STREAM, ACK, END_HEADERS, PADDED, PRIORITY = 1, 1, 4, 8, 0x20
OPENING = (
    HEAD.pack(6 << 8 | SETTINGS, 0, 0) + b"\0\4\0\x40\0\0"  # streams may send 4 MiB
    + HEAD.pack(4 << 8 | WINDOW_UPDATE, 0, 0) + (1 << 30).to_bytes(4, "big")  # and the connection a gigabyte more
)  # fmt: skip
GREETING = b"\x88\x5f\x10application/grpc"
"""Status 200 and a content type, as literals that need no state."""
TRAILERS = b"\x00\x0bgrpc-status\x010"
WINDOW = 65_535
"""Bytes of messages that may be on their way on a connection before its client has asked for more."""
WISH = re.compile(rb"@@every_ms=(\d+),tokens=(\d+),aligned=(\d)@@")

Said = tuple[bytes, int]
"""Frames, and how many of their bytes count against the window of a connection."""

GOLDEN = (5**0.5 - 1) / 2


def turn(now: float, every: float, number: int) -> float:
    """When the stream of that number speaks first: however many there are, their turns lie evenly within `every`."""
    if not every:
        return now
    return (now // every + 1 + number * GOLDEN % 1) * every


class Volley:
    """All aligned streams of the process speak when it strikes; the others each take a turn."""

    def __init__(self) -> None:
        self.turns = itertools.count()
        self.streams: dict[tuple[int, int], Replay] = {}
        self._ticking = False

    def __repr__(self) -> str:
        return f"<Volley of {len(self.streams)}>"

    def join(self, stream: Replay) -> None:
        self.streams[stream.key] = stream
        if not self._ticking:
            self._ticking = True
            self._strike(asyncio.get_running_loop().time())

    def _strike(self, due: float) -> None:
        every = 0.02
        said: dict[Connection, list[Said]] = {}
        for key, stream in list(self.streams.items()):
            said.setdefault(stream.connection, []).append(stream.next())
            if not stream.left:
                del self.streams[key]
            every = stream.every
        for connection, pieces in said.items():
            connection.say(*pieces)
        loop = asyncio.get_running_loop()
        self._ticking = bool(self.streams)
        if self._ticking:
            loop.call_later(due + every - loop.time(), self._strike, due + every)


class Replay:
    """One answer on its way."""

    def __init__(self, connection: Connection, ident: int, request: bytes) -> None:
        wish = WISH.search(request)
        every, tokens, aligned = map(int, wish.groups()) if wish else (0, 1, 0)
        self.connection = connection
        self.ident = ident
        self.key = (id(connection), ident)
        self.every = every / 1000
        self.left = deque(replies.answers(request, tokens))
        connection.write(frame(HEADERS, END_HEADERS, ident, GREETING))
        if aligned:
            connection.volley.join(self)
        else:
            loop = asyncio.get_running_loop()
            self._due = turn(loop.time(), self.every, next(connection.volley.turns))
            loop.call_later(self._due - loop.time(), self._speak)

    def __repr__(self) -> str:
        return f"<Replay {self.ident} {len(self.left)} left>"

    def next(self) -> Said:
        """The next message; with the last token comes the end."""
        frames, size = framed(self.ident, self.left.popleft())
        if len(self.left) == 1:
            last, more = framed(self.ident, self.left.popleft())
            frames += last + frame(HEADERS, END_HEADERS | END_STREAM, self.ident, TRAILERS)
            size += more
            self.connection.streams.pop(self.ident, None)
        return frames, size

    def drop(self) -> None:
        """The client has left."""
        self.left.clear()
        self.connection.volley.streams.pop(self.key, None)

    def _speak(self) -> None:
        if not self.left:
            return
        self.connection.say(self.next())
        if self.left:
            loop = asyncio.get_running_loop()
            self._due += self.every
            loop.call_later(self._due - loop.time(), self._speak)


class Connection(asyncio.Protocol):
    """One client."""

    def __init__(self, volley: Volley) -> None:
        self.volley = volley
        self.streams: dict[int, Replay] = {}
        self._decoder = hpack.Decoder()
        self._paths: dict[int, str] = {}
        self._bodies: dict[int, bytes] = {}
        self._window = WINDOW
        self._waiting: deque[Said] = deque()  # until the window is wide enough
        self._rest = b""
        self._greeted = False
        self._transport: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"<Connection {len(self.streams)} streams>"

    def write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    def say(self, *pieces: Said) -> None:
        """As soon as the client's window allows it, in this order."""
        self._waiting += pieces
        frames = []
        while self._waiting and self._waiting[0][1] <= self._window:
            data, size = self._waiting.popleft()
            self._window -= size
            frames.append(data)
        if frames:
            self.write(b"".join(frames))

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self.write(OPENING)

    def connection_lost(self, exc: Exception | None) -> None:
        self._transport = None
        for stream in self.streams.values():
            stream.drop()

    def data_received(self, data: bytes) -> None:
        data = self._rest + data
        at = 0
        if not self._greeted and len(data) >= PREFACE:
            self._greeted, at = True, PREFACE
        while self._greeted and len(data) - at >= HEAD.size:
            sized, flags, ident = HEAD.unpack_from(data, at)
            end = at + HEAD.size + (sized >> 8)
            if len(data) < end:
                break
            self._frame(sized & 0xFF, flags, ident, data[at + HEAD.size : end])
            at = end
        self._rest = data[at:]

    def _frame(self, kind: int, flags: int, ident: int, payload: bytes) -> None:
        if kind in (DATA, HEADERS) and flags & PADDED:
            payload = payload[1 : len(payload) - payload[0]]
        if kind == DATA:
            self._bodies[ident] = self._bodies.get(ident, b"") + payload
        elif kind == HEADERS:
            headers = self._decoder.decode(payload[5:] if flags & PRIORITY else payload)
            self._paths[ident] = next(str(value) for name, value in headers if str(name) == ":path")
        elif kind == RESET and ident in self.streams:
            self.streams.pop(ident).drop()
        elif kind == WINDOW_UPDATE and not ident:
            self._window += int.from_bytes(payload, "big")
            self.say()
        elif kind in (SETTINGS, PING) and not flags & ACK:
            self.write(frame(kind, ACK, 0, b"" if kind == SETTINGS else payload))
        if kind in (DATA, HEADERS) and flags & END_STREAM:
            self._answer(ident, self._paths.pop(ident), self._bodies.pop(ident, b"")[5:])

    def _answer(self, ident: int, path: str, request: bytes) -> None:
        if path.endswith("/ModelStreamInfer"):
            self.streams[ident] = Replay(self, ident, request)
            return
        message = replies.config() if path.endswith("/ModelConfig") else replies.ready()
        data, size = framed(ident, message)
        trailers = frame(HEADERS, END_HEADERS | END_STREAM, ident, TRAILERS)
        self.say((frame(HEADERS, END_HEADERS, ident, GREETING) + data + trailers, size))


def frame(kind: int, flags: int, ident: int, payload: bytes) -> bytes:
    return HEAD.pack(len(payload) << 8 | kind, flags, ident) + payload


def framed(ident: int, message: bytes) -> Said:
    """A gRPC message in a DATA frame."""
    payload = b"\0" + len(message).to_bytes(4, "big") + message
    return frame(DATA, 0, ident, payload), len(payload)


async def serve(port: int) -> None:
    """Replay at 127.0.0.1:`port` until killed."""
    server = await asyncio.get_running_loop().create_server(partial(Connection, Volley()), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=FineLoop) as runner:
        runner.run(serve(int(sys.argv[1])))
