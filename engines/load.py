"""How busy a replica says it is: one record, read again and again, and unknown as soon as it is old."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable

from engines.api import Capacity, EngineError, Load

STALE = 1.0
"""Seconds after which a load says nothing any more: a busy server's queue turns over faster."""
MOST = 1e12
"""Of anything that a server can hold at a time."""
_logger = logging.getLogger("snowshed")


def capacity(requests: float | None, blocks: float | None, block: float | None) -> Capacity | None:
    """What a server's own numbers come to: requests at a time, and blocks of the KV cache, each of so many tokens."""
    calls, tokens = _count(requests or 0), _count((blocks or 0) * (block or 0))
    return Capacity(calls, None, tokens) if calls or tokens else None


def _count(said: float) -> int | None:
    """Servers may say anything."""
    return int(said) if 1 <= said <= MOST else None


class LoadWatch:
    """Asks `read` every `every` seconds until it is closed, or `pause` seconds after it failed.

    `read` may take its time. It gives None where the answer says nothing, and raises EngineError or ValueError where
    there is none.
    """

    def __init__(
        self,
        read: Callable[[], Awaitable[Load | None]],
        clock: Callable[[], float],
        *,
        name: str,
        every: float,
        pause: float = 2.0,
    ) -> None:
        self._read = read
        self._clock = clock
        self._every = every
        self._pause = pause
        self._name = name
        self._last: Load | None = None
        self._at = 0.0
        self._failing = False
        self.capacity: Capacity | None = None
        """What was last said of it, however long ago: it changes with the server only."""
        self._asking = asyncio.create_task(self._run())

    def __repr__(self) -> str:
        return f"<LoadWatch of {self._name}: {self.load or 'unknown'}>"

    @property
    def load(self) -> Load | None:
        """What was said within the last second; None if nothing was."""
        return self._last if self._last is not None and self._clock() - self._at <= STALE else None

    async def aclose(self) -> None:
        self._asking.cancel()
        await asyncio.wait([self._asking])

    async def _run(self) -> None:
        while True:
            asked = self._clock()
            try:
                said = await self._read()
            except (EngineError, ValueError) as error:
                self._last = None
                self._complain(error)
                await asyncio.sleep(self._pause)
                continue
            self._failing = False
            self._last, self._at = said, self._clock()
            if said is not None and said.capacity is not None:
                self.capacity = said.capacity
            await asyncio.sleep(max(0.0, asked + self._every - self._at))

    def _complain(self, error: Exception) -> None:
        if not self._failing:  # once, not with every question
            self._failing = True
            _logger.warning("load not known", extra={"server": self._name, "reason": str(error)})
