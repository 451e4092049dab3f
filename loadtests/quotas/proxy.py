"""A store that is far away: relays TCP and delays every byte, both ways together by so many milliseconds.

python -m loadtests.quotas.proxy PORT TO_PORT MILLISECONDS
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import uvloop


class Side(asyncio.Protocol):
    """One of two connections; what comes in on it goes out on the `other` after `delay` seconds."""

    other: Side | None = None
    transport: asyncio.Transport

    def __init__(self, delay: float) -> None:
        self.delay = delay
        self.early: list[bytes] = []

    def __repr__(self) -> str:
        return f"<Side {'joined' if self.other else f'alone, {len(self.early)} pieces wait'}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def join(self, other: Side) -> None:
        self.other = other
        for data in self.early:
            self.data_received(data)

    def data_received(self, data: bytes) -> None:
        if self.other is None:
            self.early.append(data)
        else:
            asyncio.get_running_loop().call_later(self.delay, self.other.transport.write, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            asyncio.get_running_loop().call_later(self.delay, self.other.transport.close)


class Near(Side):
    """The side of who asks the store."""

    def __init__(self, to: int, delay: float) -> None:
        super().__init__(delay)
        self.to = to

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.task = asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: Side(self.delay), "127.0.0.1", self.to)
        except OSError:  # the store is away
            self.transport.close()
            return
        far.join(self)
        self.join(far)


async def relay(port: int, to: int, delay: float) -> None:
    """Until cancelled. `delay` in seconds, one way."""
    server = await asyncio.get_running_loop().create_server(lambda: Near(to, delay), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(relay(int(sys.argv[1]), int(sys.argv[2]), float(sys.argv[3]) / 2e3))
