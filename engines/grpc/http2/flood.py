"""How much a server may say without saying anything to a call."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from engines.grpc.http2.frames import ErrorCode, Violation

PER_SECOND = 10_000
"""Frames: far more than there are window updates for as many calls as one process can open."""


class Way(Protocol):
    """The way out, for our answers."""

    paused: bool


class Flood:
    """Counts control frames, empty ones and those that come too late. While the server takes nothing off us no new
    second begins, so that the answers to its frames can't pile up.
    """

    __slots__ = ("_clock", "_count", "_until", "_way")

    def __init__(self, clock: Callable[[], float], way: Way) -> None:
        self._clock = clock
        self._way = way
        self._count = 0
        self._until = 0.0

    def __repr__(self) -> str:
        return f"<Flood {self._count}/{PER_SECOND}>"

    def count(self) -> None:
        """One more. Raises Violation when there are too many."""
        self._count += 1
        if not self._way.paused and (now := self._clock()) >= self._until:
            self._until = now + 1.0
            self._count = 1
        if self._count > PER_SECOND:
            raise Violation(ErrorCode.ENHANCE_YOUR_CALM, "too many frames about nothing")
