"""The embedded model's own queue: so many calls run, so many wait in the order they came, the rest are refused."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from typing import Self

from engines.api import Overloaded

FIRST_GUESS = 2.0
"""Seconds a call is taken to hold its slot before any has."""


class Slots:
    """`slots` holds at a time; at most `queue` callers wait for one, first come first served."""

    def __init__(self, slots: int, queue: int, clock: Callable[[], float]) -> None:
        self._slots = slots
        self._queue = queue
        self._clock = clock
        self._waiting: deque[asyncio.Future[None]] = deque()
        self._mean_held = FIRST_GUESS
        self.held = 0

    def __repr__(self) -> str:
        return f"<Slots {self.held}/{self._slots} held, {len(self._waiting)}/{self._queue} waiting>"

    @property
    def waiting(self) -> int:
        return len(self._waiting)

    def check(self) -> None:
        """Raise Overloaded if a caller who came now would find the queue full; costs nothing."""
        if len(self._waiting) >= self._queue and self.held >= self._slots:
            raise self._full(f"The embedded model is busy: {self.held} calls run and {self.waiting} wait.")

    async def take(self, deadline: float) -> Slot:
        """Wait for a slot until `deadline` (loop time), then hold it.

        Raises Overloaded if the queue is full, and also when the deadline passes in it: the model was never asked,
        so that says nothing against it. Whoever is cancelled here holds nothing.
        """
        self.check()
        if self.held >= self._slots:
            await self._wait(deadline)  # the slot is handed over: `held` stays
        else:
            self.held += 1
        return Slot(self, self._clock())

    async def _wait(self, deadline: float) -> None:
        turn: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append(turn)
        try:
            async with asyncio.timeout_at(deadline):
                await turn
        except BaseException as error:
            if turn.done() and not turn.cancelled():
                self._pass_on()  # granted and given up in the same moment
            elif turn in self._waiting:
                self._waiting.remove(turn)
            if isinstance(error, TimeoutError):
                raise self._full("The embedded model is busy: no turn came before the call's deadline.") from None
            raise

    def give_back(self, since: float) -> None:
        """A slot that was taken at `since` is free again: the first in the queue has it."""
        self._mean_held += (self._clock() - since - self._mean_held) / 8
        self._pass_on()

    def _pass_on(self) -> None:
        while self._waiting:
            turn = self._waiting.popleft()
            if not turn.done():
                turn.set_result(None)
                return
        self.held -= 1

    def _full(self, message: str) -> Overloaded:
        return Overloaded(message, retry_after=max(1.0, self._mean_held * (self.waiting + 1) / self._slots))


class Slot:
    """One call's hold of a slot."""

    __slots__ = ("_released", "_since", "_slots")

    def __init__(self, slots: Slots, since: float) -> None:
        self._slots = slots
        self._since = since
        self._released = False

    def __repr__(self) -> str:
        return f"<Slot {'released' if self._released else 'held'}>"

    def release(self) -> None:
        """Idempotent, never waits."""
        if not self._released:
            self._released = True
            self._slots.give_back(self._since)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.release()
