"""Changes of what is thought of a replica, for the log, the metrics and the admin API."""

from __future__ import annotations

from collections import Counter, deque
from dataclasses import dataclass

from router.breaker import State

MOST_COUNTS = 10_000
"""Replicas that are found by their addresses come and go under ever new names."""


@dataclass(slots=True, frozen=True)
class Change:
    """A replica's state became another. `at` in seconds of the pool's clock; `reason` is for people."""

    at: float
    replica: str
    before: State
    after: State
    reason: str


def ignore(change: Change) -> None:
    """For who does not listen."""


class Events:
    """The last `bound` changes, numbered from 1 in the order they came; and counts of all, until they are too many."""

    def __init__(self, bound: int = 1000) -> None:
        self._kept: deque[Change] = deque(maxlen=bound)
        self.last = 0
        """The newest one's number."""
        self.counts: Counter[tuple[str, State]] = Counter()
        """By replica and the state it came into."""

    def __repr__(self) -> str:
        return f"<Events {self.last} so far, {len(self._kept)} kept>"

    def note(self, change: Change) -> None:
        self.last += 1
        self._kept.append(change)
        self.counts[change.replica, change.after] += 1
        if len(self.counts) > MOST_COUNTS:
            del self.counts[next(iter(self.counts))]

    def since(self, number: int) -> list[tuple[int, Change]]:
        """Those kept whose number is above `number`, oldest first; 0 gives all."""
        first = self.last - len(self._kept) + 1
        return [(at, change) for at, change in enumerate(self._kept, first) if at > number]
