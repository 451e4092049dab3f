"""One thread in which all answers of a model go on: each a generator that yields how long it waits."""

from __future__ import annotations

import heapq
import itertools
import threading
import time
import traceback
from collections.abc import Callable, Generator
from inspect import GEN_CREATED, getgeneratorstate

Steps = Generator[float, None, None]
"""Yields seconds to wait. `Cancelled` is thrown into it when nobody wants its answer any more."""

FOREVER = float("inf")


class Cancelled(Exception):
    """Nobody wants this answer any more."""


class Pace:
    """Runs answers side by side; looks every `poll` seconds, and before each step but the first, for cancelled ones."""

    def __init__(self, poll: float) -> None:
        self._poll = poll
        self._waiting: list[tuple[float, int, float, Steps, Callable[[], bool]]] = []
        self._order = itertools.count()
        self._changed = threading.Condition()
        threading.Thread(target=self._run, daemon=True).start()

    def __repr__(self) -> str:
        return f"<Pace {len(self._waiting)} waiting, polls every {self._poll} s>"

    def begin(self, steps: Steps, cancelled: Callable[[], bool]) -> None:
        """Let it take its first step as soon as possible."""
        self._put(steps, cancelled, time.monotonic())

    def _put(self, steps: Steps, cancelled: Callable[[], bool], due: float) -> None:
        with self._changed:
            look = min(due, time.monotonic() + self._poll)
            heapq.heappush(self._waiting, (look, next(self._order), due, steps, cancelled))
            self._changed.notify()

    def _run(self) -> None:
        while True:
            _look, _order, due, steps, cancelled = self._next()
            try:
                if getgeneratorstate(steps) != GEN_CREATED and cancelled():
                    steps.throw(Cancelled())  # it may say a last word, and then ends
                elif time.monotonic() >= due:
                    # On an absolute schedule, so that a late step does not delay the ones after it.
                    due += next(steps)
            except (StopIteration, Cancelled):
                continue
            except Exception:  # noqa: BLE001 - one answer's accident is none of the others'
                traceback.print_exc()
                continue
            self._put(steps, cancelled, due)

    def _next(self) -> tuple[float, int, float, Steps, Callable[[], bool]]:
        with self._changed:
            while not self._waiting or (wait := self._waiting[0][0] - time.monotonic()) > 0:
                self._changed.wait(wait if self._waiting else None)
            return heapq.heappop(self._waiting)
