"""Turns in checking signatures: one at a time, and for a part of the loop's time, so that a flood hurts nobody else.

However many tokens are invented, each costs a tenth of a millisecond at least before it is found out. Who is known
already waits for no turn.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import TracebackType
from typing import Final, Self

from security.api import StoreAway

SLICE: Final = 0.002
"""Seconds of checks between two rests."""
REST: Final = 3.0
"""How long a rest is, in times of what was spent on checks: they take a quarter of the loop's time at most."""
WAITING: Final = 2_000
"""Most that wait, for about a second."""


class Turns:
    """`with await turns.take():` around a check. `clock` is monotonic."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._lock = asyncio.Lock()
        self._waiting = 0
        self._began = 0.0
        self._spent = 0.0
        self._rested_at = 0.0

    def __repr__(self) -> str:
        return f"<Turns {self._waiting} waiting{', one taken' if self._lock.locked() else ''}>"

    async def take(self) -> Self:
        """In the order of their coming. Raises StoreAway if too many wait."""
        if self._waiting >= WAITING:
            raise StoreAway("too many unknown tokens at once")
        self._waiting += 1
        try:
            await self._lock.acquire()
            try:
                await asyncio.sleep(self._rested_at - self._clock())  # others get in between in any case
            except BaseException:
                self._lock.release()
                raise
        finally:
            self._waiting -= 1
        self._began = self._clock()
        return self

    def __enter__(self) -> None:
        """It was taken."""

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        now = self._clock()
        self._spent += now - self._began
        if self._spent >= SLICE:
            self._rested_at = now + REST * self._spent
            self._spent = 0.0
        self._lock.release()
