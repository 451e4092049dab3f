"""One request being answered: runs its script, keeps its time, and ends its entry in the log whatever happens."""

from __future__ import annotations

import asyncio
import functools
import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Generator
from typing import TYPE_CHECKING, ParamSpec

from loadtests.fleet.calls import Call, Outcome
from loadtests.fleet.settings import Settings

if TYPE_CHECKING:
    from loadtests.fleet.replica import Replica

FOREVER = float("inf")
P = ParamSpec("P")
Script = Generator[float, None, Outcome]
"""Writes to the wire and yields the seconds until it goes on (0: in the loop's next round); returns how it ended.

Scripts are plain generators because one that is waiting costs a timer, not a task, and closing it is a cancellation.
"""


def _waiting() -> Script:
    yield FOREVER
    return "cancelled"


def silence(_turn: Turn) -> Script:
    """The fault that never says anything again."""
    yield FOREVER
    return "fault"


def at_once(deed: Callable[P, None]) -> Callable[P, Script]:
    """The fault that is over with one deed."""

    @functools.wraps(deed)
    def script(*args: P.args, **kwargs: P.kwargs) -> Script:
        deed(*args, **kwargs)
        yield from ()
        return "fault"

    return script


class Turn(ABC):
    """Waits for a slot, then runs its script. Times are seconds on `time.monotonic()`.

    Each way to ask has its own kind of turn, which knows the wire.
    """

    __slots__ = ("_due", "_held", "_script", "_timer", "call", "replica", "settings")

    def __init__(self, replica: Replica, call: Call, settings: Settings) -> None:
        self.replica = replica
        self.call = call
        self.settings = settings
        self._script: Script = _waiting()
        self._timer: asyncio.Handle | None = None
        self._due = 0.0
        self._held = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {self.call!r} {'queued' if self.call.served is None else 'served'}>"

    @property
    @abstractmethod
    def congested(self) -> bool:
        """Whether the client does not take what was written: the script is held until `resume`."""

    @abstractmethod
    def script(self) -> Script: ...

    @abstractmethod
    def write(self, data: bytes) -> None: ...

    @abstractmethod
    def ended(self, outcome: Outcome) -> None:
        """The slot is free and the entry in the log closed; what becomes of the connection?"""

    def serve(self) -> None:
        """A slot is there."""
        self.call.served = self._due = time.monotonic()
        self._script = self.script()
        self._advance()

    def produced(self, tokens: int) -> None:
        self.replica.calls.produced(self.call, tokens)

    def resume(self) -> None:
        """The client reads again."""
        if self._held:
            self._held = False
            self._due = time.monotonic()
            self._advance()

    def drop(self, outcome: Outcome) -> None:
        """Stop the script where it is."""
        if self._timer is not None:
            self._timer.cancel()
        self._script.close()
        self._end(outcome)

    def _advance(self) -> None:
        self._timer = None
        if self.congested:
            self._held = True
            return
        try:
            pause = next(self._script)
        except StopIteration as end:
            self._end(end.value)
            return
        loop = self.replica.loop
        if pause == 0:
            self._timer = loop.call_soon(self._advance)
        elif pause != FOREVER:
            self._due += pause
            self._timer = loop.call_later(max(0.0, self._due - time.monotonic()), self._advance)

    def _end(self, outcome: Outcome) -> None:
        self.replica.calls.close(self.call, outcome)
        self.replica.release(self)
        self.ended(outcome)
