"""What the store is to be told after the fact: kept until it has confirmed it, and in bounds while it is away.

Each message counts once, however often it is sent; while all goes well it is sent once. Of those that had to be
dropped, what they would have given back drains by itself, and slots that they would have freed end with their time.
"""

from __future__ import annotations

from collections.abc import Iterable
from heapq import heappop, heappush

from security.limits.script import Call

KEPT = 20_000
"""Most messages that are kept, the newest: some ten megabytes."""


class Outbox:
    """Messages in their order. `dropped` counts those that were too many."""

    def __init__(self) -> None:
        self._waiting: list[tuple[int, Call]] = []  # a heap: what is put back is the oldest again
        self._under_way: dict[int, Call] = {}
        self._added = 0
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Outbox {len(self._waiting)} waiting, {len(self._under_way)} under way, {self.dropped} dropped>"

    def __len__(self) -> int:
        """Messages that are not confirmed."""
        return len(self._waiting) + len(self._under_way)

    def add(self, message: Call) -> None:
        self._keep(self._added, message)
        self._added += 1

    def take(self, most: int) -> dict[int, Call]:
        """The oldest, by number; nobody else gets them until they are put back. Whoever takes them confirms or does."""
        taken = dict(heappop(self._waiting) for _ in range(min(most, len(self._waiting))))
        self._under_way |= taken
        return taken

    def confirm(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._under_way.pop(number, None)

    def put_back(self, numbers: Iterable[int]) -> None:
        """Of these, what is not confirmed."""
        for number in numbers:
            message = self._under_way.pop(number, None)
            if message is not None:
                self._keep(number, message)

    def _keep(self, number: int, message: Call) -> None:
        heappush(self._waiting, (number, message))
        if len(self._waiting) > KEPT:
            heappop(self._waiting)
            self.dropped += 1
