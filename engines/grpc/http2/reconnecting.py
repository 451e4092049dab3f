"""When to try again after a connection could not be made."""

from __future__ import annotations

FIRST = 0.05
MOST = 1.0
"""Seconds: whoever asks so long after the last failure starts a new attempt."""


class BackOff:
    """Doubles the pause with each failure in a row. Times are seconds on one clock."""

    __slots__ = ("_failures", "_until")

    def __init__(self) -> None:
        self._failures = 0
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<BackOff {self._failures} failures>"

    def may_try(self, now: float) -> bool:
        return now >= self._until

    def failed(self, now: float) -> None:
        """What fails during a pause began before it, together with what has been counted."""
        if now < self._until:
            return
        self._until = now + min(FIRST * 2**self._failures, MOST)
        self._failures = min(self._failures + 1, 10)

    def worked(self) -> None:
        self._failures = 0
        self._until = 0.0
