"""A client that can be awaited and that may leave whenever it likes."""

from __future__ import annotations

import asyncio
import time
from typing import Literal

from loadtests.bench.client import Connection
from loadtests.bench.generator import CONTENT

Ending = Literal["answered", "left", "lost"]


class Visitor(Connection):
    """One connection. `left_at` is on `time.monotonic()`, the clock of the simulated upstream's log."""

    def __init__(self) -> None:
        super().__init__()
        self.status = 0
        self.left_at = 0.0
        self._tokens_left = 0
        self.ending: asyncio.Future[Ending]

    async def visit(self, request: bytes, *, leave_after: int = 0) -> Ending:
        """Ask; leave by oneself after so many content events, 0: stay. The answer is in `status` and `body`."""
        self.begin(request, leave_after=leave_after)
        return await self.ending

    def begin(self, request: bytes, *, leave_after: int = 0) -> None:
        self.status = 0
        self._tokens_left = leave_after
        self.ending = asyncio.get_running_loop().create_future()
        self.ask(request)

    @property
    def body(self) -> bytes:
        return b"".join(self.pieces)

    def leave(self) -> None:
        self.left_at = time.monotonic()
        super().leave()
        self._end("left")

    def on_body(self, data: bytes) -> None:
        super().on_body(data)
        if self._tokens_left:
            self._tokens_left = max(0, self._tokens_left - len(CONTENT.findall(data)))
            if not self._tokens_left:
                self.leave()

    def answered(self, status: int) -> None:
        self.status = status
        self._end("answered")

    def lost(self) -> None:
        self._end("lost")

    def _end(self, how: Ending) -> None:
        if not self.ending.done():
            self.ending.set_result(how)


async def arrive(port: int) -> Visitor:
    """A visitor connected to 127.0.0.1:`port`."""
    _, visitor = await asyncio.get_running_loop().create_connection(Visitor, "127.0.0.1", port)
    return visitor
