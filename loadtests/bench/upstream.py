"""The simulated upstream with timers finer than a millisecond: the tokens of many streams do not come in volleys.

An event loop rounds its timers to milliseconds: of 256 streams with a token every 20 ms a dozen would speak at once,
and a proxy that is woken for a dozen at a time looks cheaper than it is.

    python -m loadtests.bench.upstream PORT CONTROL_PORT
"""

from __future__ import annotations

import asyncio
import ctypes
import heapq
import itertools
import os
import sys
import time
from collections.abc import Callable
from contextvars import Context
from typing import TypeVarTuple

import uvloop

from loadtests.fleet.fleet import Fleet
from loadtests.fleet.settings import Settings

TFD_TIMER_ABSTIME = 1
NANOSECONDS = 1_000_000_000
Arguments = TypeVarTuple("Arguments")


class Timespec(ctypes.Structure):
    """`struct itimerspec` of Linux: interval and value, each seconds and nanoseconds."""

    _fields_ = tuple((name, ctypes.c_long) for name in ("every_s", "every_ns", "at_s", "at_ns"))


class FineLoop(uvloop.Loop):
    """uvloop with `call_later` on a Linux timerfd."""

    def __init__(self) -> None:
        super().__init__()
        self._libc = ctypes.CDLL(None, use_errno=True)
        self._timer = self._libc.timerfd_create(time.CLOCK_MONOTONIC, os.O_NONBLOCK)
        self._timers: list[tuple[float, int, asyncio.TimerHandle]] = []
        self._number = itertools.count()
        self.add_reader(self._timer, self._fire)

    def __repr__(self) -> str:
        return f"<FineLoop {len(self._timers)} timers>"

    def call_later(
        self,
        delay: float,
        callback: Callable[[*Arguments], object],
        *args: *Arguments,
        context: Context | None = None,
    ) -> asyncio.TimerHandle:
        due = time.monotonic() + delay
        handle = asyncio.TimerHandle(due, callback, args, self, context)
        heapq.heappush(self._timers, (due, next(self._number), handle))
        if self._timers[0][2] is handle:
            self._arm(due)
        return handle

    def _arm(self, due: float) -> None:
        at = Timespec(0, 0, *divmod(int(due * NANOSECONDS), NANOSECONDS))
        if self._libc.timerfd_settime(self._timer, TFD_TIMER_ABSTIME, ctypes.byref(at), None):
            raise OSError(ctypes.get_errno(), "timerfd_settime")

    def _fire(self) -> None:
        os.read(self._timer, 8)
        now = time.monotonic()
        while self._timers and self._timers[0][0] <= now:
            handle = heapq.heappop(self._timers)[2]
            if not handle.cancelled():
                handle._run()  # noqa: SLF001 - what a loop is meant to do
        if self._timers:
            self._arm(self._timers[0][0])

    def _timer_handle_cancelled(self, handle: asyncio.TimerHandle) -> None:
        """Called by `TimerHandle.cancel`; a cancelled one stays in the heap until its time."""


async def serve(port: int, control_port: int) -> None:
    """Simulate one replica at 127.0.0.1:`port` until killed."""
    async with Fleet(1, Settings(), port, control_port):
        await asyncio.Event().wait()


if __name__ == "__main__":
    with asyncio.Runner(loop_factory=FineLoop) as runner:
        runner.run(serve(*map(int, sys.argv[1:3])))
