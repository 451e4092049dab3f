"""Every timer of the process in one sweep: no timer handle per request, none per chunk.

Whoever waits keeps a number, `due`, up to date (a plain attribute write); the sweep, four times a second, calls
`expire` on those whose time has come. A timer therefore fires up to a quarter of a second late, never early.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

NEVER = float("inf")
TICK = 0.25


class Watch(Protocol):
    """Something that waits. `expire` must not raise or wait, and moves `due` on if it wants to stay."""

    due: float

    def expire(self, now: float) -> None: ...


class Sweeper:
    """Calls `expire(now)` on each watch whose `due` has passed. `now` and `due` are seconds on one clock."""

    def __init__(self) -> None:
        self._watches: set[Watch] = set()

    def __repr__(self) -> str:
        return f"<Sweeper {len(self._watches)} watched>"

    def add(self, watch: Watch) -> None:
        self._watches.add(watch)

    def discard(self, watch: Watch) -> None:
        self._watches.discard(watch)

    def sweep(self, now: float) -> None:
        for watch in tuple(self._watches):
            if watch.due <= now:
                watch.expire(now)

    async def run(self, beat: Callable[[float], None]) -> None:
        """Sweep until cancelled; `beat(now)` follows each sweep (heartbeat, folding of metrics and logs)."""
        loop = asyncio.get_running_loop()
        while True:
            await asyncio.sleep(TICK)
            now = loop.time()
            self.sweep(now)
            beat(now)
