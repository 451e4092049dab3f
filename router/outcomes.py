"""What came of a replica's calls: which errors speak against it, and its last ten seconds."""

from __future__ import annotations

from typing import Literal

from engines.api import EngineError, Interrupted, Overloaded, Rejected, TimedOut

Judgement = Literal["healthy", "busy", "failed", "cut", "ignored"]
SPAN = 10
"""Seconds that are remembered."""


def judge(error: BaseException | None) -> Judgement:
    """What the end of a call says of its replica; None is a whole answer.

    A caller's mistake was found by a server that works. A total limit is the client's patience, and leaving its right.
    """
    if error is None or isinstance(error, Rejected):
        return "healthy"
    if isinstance(error, Overloaded):
        return "busy"
    if not isinstance(error, EngineError) or (isinstance(error, TimedOut | Interrupted) and error.phase == "total"):
        return "ignored"
    return "cut" if isinstance(error, Interrupted) else "failed"


class _Count:
    __slots__ = ("bad", "firsts", "good", "waited")

    def __init__(self) -> None:
        self.good = self.bad = self.firsts = 0
        self.waited = 0.0

    def add(self, other: _Count) -> None:
        self.good += other.good
        self.bad += other.bad
        self.firsts += other.firsts
        self.waited += other.waited


class Outcomes:
    """Counts of the last ten seconds, in a ring of one for each; `now` in seconds of a clock that only rises."""

    __slots__ = ("_past", "_ring", "_second", "current")

    def __init__(self, now: float = 0.0) -> None:
        self._ring = [_Count() for _ in range(SPAN)]
        self._second = int(now)
        self.current = self._ring[self._second % SPAN]
        """The present second, as of the last turn: a tenth of a second is no matter."""
        self._past = _Count()  # all but the current one

    def __repr__(self) -> str:
        return f"<Outcomes {self.good} good, {self.bad} bad>"

    @property
    def good(self) -> int:
        return self._past.good + self.current.good

    @property
    def bad(self) -> int:
        return self._past.bad + self.current.bad

    @property
    def firsts(self) -> int:
        """First contents whose time counts."""
        return self._past.firsts + self.current.firsts

    @property
    def mean(self) -> float:
        """Seconds that first contents took; 0.0 if there were none."""
        return (self._past.waited + self.current.waited) / (self.firsts or 1)

    def turn(self, now: float) -> None:
        """Forget what is older."""
        second = int(now)
        if second == self._second:
            return
        for begun in range(max(self._second + 1, second - SPAN + 1), second + 1):
            self._ring[begun % SPAN] = _Count()
        self._second = second
        self._past = _Count()
        for count in self._ring:
            self._past.add(count)  # the current one is empty yet
        self.current = self._ring[second % SPAN]

    def add(self, now: float, *, good: bool) -> None:
        """The end of a call that had no content before."""
        self.turn(now)
        if good:
            self.current.good += 1
        else:
            self.current.bad += 1
