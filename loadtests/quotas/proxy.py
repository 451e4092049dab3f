"""A store that is far away: relays TCP and delays every byte, both ways together by so many milliseconds.

SIGUSR1 switches between the two distances.

python -m loadtests.quotas.proxy PORT TO_PORT MILLISECONDS OTHER_MILLISECONDS
"""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Callable
from typing import cast

import uvloop


class Distance:
    """How far away the store is: `delay` seconds, one way."""

    def __init__(self, delay: float, other: float) -> None:
        self.delay, self._other = delay, other

    def __repr__(self) -> str:
        return f"<Distance {self.delay} s, at other times {self._other} s>"

    def switch(self) -> None:
        self.delay, self._other = self._other, self.delay


class Side(asyncio.Protocol):
    """One of two connections; what comes in on it goes out on the `other` later, in the order in which it came."""

    other: Side | None = None
    transport: asyncio.Transport

    def __init__(self, distance: Distance) -> None:
        self.distance = distance
        self.due = 0.0
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
            self.later(self.other.transport.write, data)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.other is not None:
            self.later(self.other.transport.close)

    def later(self, happens: Callable[..., object], *what: bytes) -> None:
        loop = asyncio.get_running_loop()
        self.due = max(self.due, loop.time() + self.distance.delay)
        loop.call_at(self.due, happens, *what)


class Near(Side):
    """The side of who asks the store."""

    def __init__(self, to: int, distance: Distance) -> None:
        super().__init__(distance)
        self.to = to

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self.task = asyncio.get_running_loop().create_task(self.connect())

    async def connect(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            _, far = await loop.create_connection(lambda: Side(self.distance), "127.0.0.1", self.to)
        except OSError:  # the store is away
            self.transport.close()
            return
        far.join(self)
        self.join(far)


async def relay(port: int, to: int, distance: Distance) -> None:
    """Until cancelled."""
    loop = asyncio.get_running_loop()
    loop.add_signal_handler(signal.SIGUSR1, distance.switch)
    server = await loop.create_server(lambda: Near(to, distance), "127.0.0.1", port)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(relay(int(sys.argv[1]), int(sys.argv[2]), Distance(float(sys.argv[3]) / 2e3, float(sys.argv[4]) / 2e3)))
