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
    if not isinstance(error, EngineError) or (isinstance(error, TimedOut) and error.phase == "total"):
        return "ignored"
    return "cut" if isinstance(error, Interrupted) else "failed"


class _Second:
    __slots__ = ("bad", "firsts", "good", "waited")

    def __init__(self) -> None:
        self.good = self.bad = self.firsts = 0
        self.waited = 0.0


class Outcomes:
    """Counts of the last ten seconds, in a ring of one bucket each; `now` in seconds of a clock that only rises."""

    __slots__ = ("_bucket", "_ring", "_second")

    def __init__(self) -> None:
        self._ring = [_Second() for _ in range(SPAN)]
        self._second = 0
        self._bucket = self._ring[0]

    def __repr__(self) -> str:
        return f"<Outcomes {self.good} good, {self.bad} bad>"

    @property
    def good(self) -> int:
        return sum(bucket.good for bucket in self._ring)

    @property
    def bad(self) -> int:
        return sum(bucket.bad for bucket in self._ring)

    @property
    def firsts(self) -> int:
        """First contents, each with a time that it took."""
        return sum(bucket.firsts for bucket in self._ring)

    @property
    def mean(self) -> float:
        """Seconds that first contents took; 0.0 if there were none."""
        return sum(bucket.waited for bucket in self._ring) / (self.firsts or 1)

    def turn(self, now: float) -> None:
        """Forget what is older."""
        second = int(now)
        for passed in range(max(self._second + 1, second - SPAN + 1), second + 1):
            self._ring[passed % SPAN] = _Second()
        self._second = second
        self._bucket = self._ring[second % SPAN]

    def first(self, now: float, waited: float) -> None:
        """First content, after so many seconds."""
        if int(now) != self._second:
            self.turn(now)
        bucket = self._bucket
        bucket.good += 1
        bucket.firsts += 1
        bucket.waited += waited

    def add(self, now: float, *, good: bool) -> None:
        """The end of a call that had no content before."""
        self.turn(now)
        if good:
            self._bucket.good += 1
        else:
            self._bucket.bad += 1
