"""One sweep carries every timer: at most two ticks late, early only after a stall, none spoiling another."""

from __future__ import annotations

import asyncio
import logging
import socket
import time

import pytest
import uvloop

from engines.sweeper import NEVER, TICK, Sweeper
from tests.support.waiting import PATIENCE


class Waiting:
    """Notes when it expired; may leave the sweeper, wait again, or break."""

    def __init__(self, due: float, *, again: float = NEVER, breaks: bool = False) -> None:
        self.due = due
        self.expired: list[float] = []
        self._again = again
        self._breaks = breaks

    def expire(self, now: float) -> None:
        self.expired.append(now)
        self.due = now + self._again
        if self._breaks:
            raise ValueError


def test_only_those_expire_whose_time_has_come() -> None:
    sweeper = Sweeper()
    early, late, never = Waiting(1.0), Waiting(2.0), Waiting(NEVER)
    for watch in (early, late, never):
        sweeper.add(watch)
    sweeper.sweep(1.0)
    sweeper.sweep(1.5)
    assert (early.expired, late.expired, never.expired) == ([1.0], [], [])


def test_a_watch_may_wait_again() -> None:
    sweeper, watch = Sweeper(), Waiting(1.0, again=0.5)
    sweeper.add(watch)
    for tenth in range(10, 25):
        sweeper.sweep(tenth / 10)
    assert watch.expired == [1.0, 1.5, 2.0]


def test_a_discarded_watch_is_forgotten() -> None:
    sweeper, watch = Sweeper(), Waiting(1.0)
    sweeper.add(watch)
    sweeper.discard(watch)
    sweeper.discard(watch)
    sweeper.sweep(2.0)
    assert watch.expired == []


@pytest.mark.parametrize("since", [0.0, 0.05, 0.0999])
def test_p07_soon_is_never_early_and_at_most_two_ticks_late(since: float) -> None:
    """`since`: how long ago the last sweep was when somebody asked for a bound of one second."""
    sweeper = Sweeper()
    sweeper.sweep(10.0)
    watch = Waiting(sweeper.soon(1.0))
    sweeper.add(watch)
    asked_at, now = 10.0 + since, 10.0
    while not watch.expired:
        now += TICK
        sweeper.sweep(now)
    assert asked_at + 1.0 <= watch.expired[0] <= asked_at + 1.0 + 2 * TICK + 1e-6


def test_a_watch_that_breaks_stops_no_other_and_does_not_fire_for_ever(caplog: pytest.LogCaptureFixture) -> None:
    sweeper, broken, sound = Sweeper(), Waiting(1.0, again=0, breaks=True), Waiting(1.0, again=0)
    sweeper.add(broken)
    sweeper.add(sound)
    with caplog.at_level(logging.ERROR):
        for tenth in range(10, 15):
            sweeper.sweep(tenth / 10)
    assert (len(broken.expired), len(sound.expired)) == (1, 5)
    assert len(caplog.records) == 1


async def test_it_beats_after_each_sweep_on_the_loops_clock() -> None:
    sweeper = Sweeper()
    watch = Waiting(0.0, again=0.0)
    sweeper.add(watch)
    beats: asyncio.Queue[float] = asyncio.Queue()
    began = asyncio.get_running_loop().time()
    running = asyncio.create_task(sweeper.run(beats.put_nowait))
    try:
        async with asyncio.timeout(PATIENCE):
            first, second = await beats.get(), await beats.get()
    finally:
        running.cancel()
    assert began < first < second
    assert watch.expired[:2] == [first, second]


async def stand_still() -> bool:
    """Whether a wait has expired although what it waited for came while the process stood still."""
    loop = asyncio.get_running_loop()
    sweeper = Sweeper()
    mine, theirs = socket.socketpair()
    waiting = Waiting(NEVER)
    beats: asyncio.Queue[float] = asyncio.Queue()
    came = asyncio.Event()

    def come() -> None:
        mine.recv(1)
        waiting.due = NEVER
        came.set()

    def pause() -> None:  # a read's callback, as a stopped process stands in the wait for reads
        mine.recv(1)
        loop.add_reader(mine, come)
        theirs.send(b"x")
        time.sleep(4 * TICK)  # longer than the wait may take, to which `soon` adds a tick

    with mine, theirs:
        sweeper.add(waiting)
        sweeping = asyncio.create_task(sweeper.run(beats.put_nowait))
        async with asyncio.timeout(PATIENCE):
            await beats.get()
            waiting.due = sweeper.soon(2 * TICK)
            loop.add_reader(mine, pause)
            theirs.send(b"x")
            await came.wait()
            await beats.get()
        loop.remove_reader(mine)
        sweeping.cancel()
        return bool(waiting.expired)


def test_nobody_is_called_silent_because_the_process_stood_still() -> None:
    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:  # which calls timers before it reads
        assert runner.run(stand_still()) is False
