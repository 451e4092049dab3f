"""A channel of ours, and the raw server that it talks to."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable

import pytest_asyncio

from engines.grpc.http2.channel import Http2Channel
from engines.grpc.http2.stream import Stream
from tests.support.raw_grpc import Peer, RawServer, raw_serving
from tests.support.waiting import PATIENCE

METHOD = "/test.Service/Call"
MAX_MESSAGE = 9 * 1024 * 1024


class Line:
    """Both ends: `channel` and `server`."""

    def __init__(self, server: RawServer) -> None:
        self.server = server
        self.channel = Http2Channel(
            f"127.0.0.1:{server.port}", tls=None, connections=1, max_message=MAX_MESSAGE, connect_timeout=PATIENCE
        )

    def open(self, message: bytes = b"please", timeout: float | None = None) -> Stream:
        return self.channel.open(METHOD, message, timeout=timeout)

    async def call(self, settings: Iterable[tuple[int, int]] = ()) -> tuple[Stream, Peer, int]:
        """The first call, the server's end of its connection, and its number there, once its request has come."""
        rpc = self.open()
        peer = await self.server.peer(settings)
        return rpc, peer, await peer.request()

    def leftovers(self) -> int:
        """Calls that anything still knows of."""
        calls = sum(len(connection.streams) for connection in self.channel._connections)
        return calls + len(self.channel._waiting) + len(self.channel._deadlines._streams)


@pytest_asyncio.fixture
async def line() -> AsyncIterator[Line]:
    async with raw_serving() as server:
        line = Line(server)
        yield line
        await line.channel.aclose()
        assert not line.leftovers()
        assert not line.channel._connections
