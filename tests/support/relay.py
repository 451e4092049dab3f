"""A relay between a client and a server on this machine, which can break what passes through it, and counts it."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

from tests.support.waiting import until


@dataclass(slots=True)
class Relay:
    """`connections`: how many were made so far. A new `upstream` is that of those to come. `delay`: seconds by which
    what passes is late, either way.
    """

    upstream: int
    port: int = 0
    connections: int = 0
    delay: float = 0.0
    _writers: set[asyncio.StreamWriter] = field(default_factory=set)

    def cut(self) -> None:
        """Every connection breaks off, as when a server's machine loses power and comes back."""
        for writer in self._writers:
            writer.transport.abort()

    async def all_closed(self) -> None:
        await until(lambda: not self._writers)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        up_reader, up_writer = await asyncio.open_connection("127.0.0.1", self.upstream)
        both = {writer, up_writer}
        self._writers |= both
        try:
            async with asyncio.TaskGroup() as ways:
                ways.create_task(self._carry(reader, up_writer))
                ways.create_task(self._carry(up_reader, writer))
        finally:
            self._writers -= both

    async def _carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            while data := await reader.read(65536):
                if self.delay:
                    await asyncio.sleep(self.delay)
                writer.write(data)
                await writer.drain()
        writer.close()


@asynccontextmanager
async def relaying(
    upstream: int, host: str = "127.0.0.1", port: int = 0, tls: ssl.SSLContext | None = None
) -> AsyncIterator[Relay]:
    """Relays to the port `upstream` of this machine while the block runs, from a free port or this one."""
    relay = Relay(upstream)
    server = await asyncio.start_server(relay.serve, host, port, ssl=tls)
    relay.port = server.sockets[0].getsockname()[1]
    try:
        yield relay
    finally:
        relay.cut()
        server.close()
        await server.wait_closed()
