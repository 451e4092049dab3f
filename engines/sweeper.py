"""Every timer of the process in one sweep: no timer handle per request, none per chunk.

Whoever waits keeps a number, `due`, up to date (a plain attribute write); the sweep, ten times a second, calls
`expire` on those whose time has come. `soon` gives a `due` without reading the clock: up to two ticks
late, and early only by as long as a callback has just held up the loop.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from typing import Protocol

_logger = logging.getLogger("snowshed")

NEVER = float("inf")
TICK = 0.1


class Watch(Protocol):
    """Something that waits. `expire` must not raise or wait, and moves `due` on if it wants to stay."""

    due: float

    def expire(self, now: float) -> None: ...


class Sweeper:
    """Calls `expire(now)` on each watch whose `due` has passed. `now` and `due` are seconds on one clock."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()
        self.add: Callable[[Watch], None] = self._watches.add  # the set's own: no call of ours in between
        self.discard: Callable[[Watch], None] = self._watches.discard
        self.now = 0.0  # of the last sweep

    def __repr__(self) -> str:
        return f"<Sweeper {len(self._watches)} watched>"

    def soon(self, seconds: float) -> float:
        """The `due` of something that may take `seconds` from now on."""
        return self.now + TICK + seconds

    def sweep(self, now: float) -> None:
        self.now = now
        for watch in tuple(self._watches):
            if watch.due <= now:
                try:
                    watch.expire(now)
                except Exception:
                    self._watches.discard(watch)  # one bug must not stop every other timer, nor fire for ever
                    _logger.exception("timer broke")

    async def run(self, beat: Callable[[float], None]) -> None:
        """Sweep until cancelled; `beat(now)` follows each sweep (heartbeat, folding of metrics and logs)."""
        loop = asyncio.get_running_loop()
        self.now = loop.time()
        while True:
            await asyncio.sleep(TICK)
            now = self.now = loop.time()
            await asyncio.sleep(0)  # if the process stood still, what came meanwhile is read first
            self.sweep(now)
            beat(now)
