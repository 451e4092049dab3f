"""When the event loop last came round, and how late it was: the one thing that other threads know about it."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final

from engines.sweeper import TICK

WINDOW: Final = 15.0


class Heartbeat:
    """Beaten by the loop every `TICK`, read by any thread. All times are seconds on `clock`.

    `clock` is the event loop's own: `loop.time()` is CLOCK_MONOTONIC in asyncio and uvloop, as `time.monotonic` is.
    """

    def __init__(self, clock: Callable[[], float] = time.monotonic, stale_after: float = 10.0) -> None:
        self.clock = clock
        self.stale_after = stale_after
        self._beaten_at = self._window_from = clock()
        self._beating = False  # the first beat is late by however long the start took, which is no lag
        self._worst = self._worst_before = 0.0

    def __repr__(self) -> str:
        return f"<Heartbeat {self.age(self.clock()):.3f} s old, lag {self.lag:.3f} s>"

    def beat(self, now: float) -> None:
        late = max(now - self._beaten_at - TICK, 0.0) if self._beating else 0.0
        if now - self._window_from >= WINDOW:
            self._worst_before, self._worst = self._worst, 0.0
            self._window_from = now
        self._worst = max(self._worst, late)
        self._beaten_at = now
        self._beating = True

    def age(self, now: float) -> float:
        """Seconds since the last beat, or since the start."""
        return max(now - self._beaten_at, 0.0)

    @property
    def lag(self) -> float:
        """The worst lateness of a beat in the last 15 to 30 s, in seconds.

        A mean would hide the one stall that every stream felt; a maximum since the last scrape would be taken from
        one reader by another.
        """
        return max(self._worst, self._worst_before)
