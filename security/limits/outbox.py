"""What the store is to be told after the fact: kept until it has confirmed it, and in bounds while it is away.

Each message counts once, however often it is sent. Of those that had to be dropped, what they would have given back
drains by itself, and slots that they would have freed end with their time.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable
from itertools import islice

from security.limits.script import Call

KEPT = 20_000
"""Most messages that are kept, the newest: some ten megabytes."""


class Outbox:
    """Messages in their order. `dropped` counts those that were too many."""

    def __init__(self) -> None:
        self._messages: OrderedDict[int, Call] = OrderedDict()
        self._added = 0
        self.dropped = 0

    def __repr__(self) -> str:
        return f"<Outbox {len(self._messages)} unconfirmed, {self.dropped} dropped>"

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, message: Call) -> None:
        if len(self._messages) >= KEPT:
            self._messages.popitem(last=False)
            self.dropped += 1
        self._messages[self._added] = message
        self._added += 1

    def oldest(self, most: int) -> dict[int, Call]:
        """By number; they stay here until they are confirmed."""
        return dict(islice(self._messages.items(), most))

    def confirm(self, numbers: Iterable[int]) -> None:
        for number in numbers:
            self._messages.pop(number, None)
