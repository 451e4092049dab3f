"""Connections on which nobody asks anything: closed, the longest idle first, before anybody is refused for them."""

from __future__ import annotations

from heapq import nsmallest
from math import isfinite
from typing import Protocol


class Idler(Protocol):
    """A client connection."""

    @property
    def idle_until(self) -> float:
        """When it would be closed for having been idle (loop seconds); infinite while it is not."""
        ...

    def close_idle(self) -> None:
        """Close it now; only while it is idle."""


class Idlers:
    """All client connections. Nothing is kept of who is idle: to look through all is seldom needed."""

    def __init__(self) -> None:
        self._connections: set[Idler] = set()
        self.add = self._connections.add
        self.discard = self._connections.discard

    def __repr__(self) -> str:
        return f"<Idlers among {len(self._connections)} connections>"

    def close(self, most: int) -> int:
        """Close so many at most; returns how many."""
        idle = [it for it in self._connections if isfinite(it.idle_until)]
        longest = nsmallest(most, idle, key=lambda it: it.idle_until)
        for each in longest:
            each.close_idle()
        return len(longest)
