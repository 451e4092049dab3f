"""A server that answers each request with exactly the bytes it is given, and a pool that talks to it."""

from __future__ import annotations

import asyncio
import fcntl
import socket
import struct
import sys
import termios
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Literal

from engines.api import Surroundings, Timers
from engines.http import Pool
from tests.support.engines_at_work import sweeping
from tests.support.waiting import until

After = Literal["keep", "close", "reset", "silent"]
POST = b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 4\r\n\r\nbody"


@dataclass(slots=True)
class Answers:
    """What is written for the next requests, one after the other (the last one again and again), and then done."""

    writes: Sequence[bytes]
    after: After = "keep"
    connections: int = 0
    requests: int = 0
    open: set[asyncio.StreamWriter] = field(default_factory=set)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        length = int(head.lower().partition(b"content-length: ")[2].partition(b"\r\n")[0] or 0)
        await reader.readexactly(length)
        answer = self.writes[min(self.requests, len(self.writes) - 1)]
        self.requests += 1
        writer.write(answer)
        await writer.drain()
        if self.after == "reset":
            await until(lambda: not _under_way(writer))  # or the reset drops what was written
            linger = struct.pack("ii", 1, 0)
            writer.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
            writer.transport.abort()
        if self.after == "silent":
            await reader.read()
        return self.after == "keep"


def _under_way(writer: asyncio.StreamWriter) -> int:
    """Bytes that the other end's kernel has not got yet."""
    return int.from_bytes(fcntl.ioctl(writer.get_extra_info("socket"), termios.TIOCOUTQ, bytes(4)), sys.byteorder)


@asynccontextmanager
async def serving(answers: Answers, timers: Timers | None = None, connections: int = 8) -> AsyncIterator[Pool]:
    """A pool to a server that answers so; both, and the sweeper, are gone after the block."""
    server = await asyncio.start_server(answers.serve, "127.0.0.1", 0)
    async with sweeping() as sweeper:
        await asyncio.sleep(0)  # the sweeper looks at the clock
        port = server.sockets[0].getsockname()[1]
        pool = Pool(f"http://127.0.0.1:{port}", Surroundings(sweeper, timers or Timers()), connections=connections)
        try:
            yield pool
        finally:
            await pool.aclose()
            server.close()
            for writer in tuple(answers.open):
                writer.close()
            await until(lambda: not (pool._open or answers.open))


def ok(body: bytes, *fields: bytes) -> bytes:
    """A whole response of known length."""
    head = [b"HTTP/1.1 200 OK", b"content-length: %d" % len(body), *fields]
    return b"\r\n".join(head) + b"\r\n\r\n" + body
