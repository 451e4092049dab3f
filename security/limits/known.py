"""Where buckets stood when the store last spoke of them, by this gateway's own clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Sequence

from security.limits.api import SECOND, Decision, Quota

MOST = 20_000
"""Most buckets, those told last."""


class Known:
    """TATs in microseconds of `clock`, which is monotonic and in seconds; and what is spent of budgets."""

    def __init__(self, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._tats: OrderedDict[str, int] = OrderedDict()
        self._spent: OrderedDict[str, int] = OrderedDict()

    def __repr__(self) -> str:
        return f"<Known {len(self._tats)} buckets>"

    def now(self) -> int:
        return round(self._clock() * SECOND)

    def tat(self, key: str) -> int:
        return self._tats.get(key, 0)

    def spent(self, key: str) -> int | None:
        """Millionths; None: the store has not spoken of it."""
        return self._spent.get(key)

    def put(self, key: str, tat: int) -> None:
        """What it will be once it has heard of what passed without it."""
        self._tats[key] = tat

    def put_spent(self, key: str, spent: int) -> None:
        self._spent[key] = spent

    def note(self, quota: Quota, decision: Decision) -> None:
        """What the store has told just now."""
        tats, shift = self._tats, self.now() - decision.now
        for bucket, tat in zip(quota.buckets, decision.tats, strict=True):
            tats[bucket.key] = shift + tat
            tats.move_to_end(bucket.key)
        while len(tats) > MOST:
            tats.popitem(last=False)
        if decision.spent:
            self._note_spent(quota, decision.spent)

    def _note_spent(self, quota: Quota, spent: Sequence[int]) -> None:
        for budget, level in zip(quota.budgets, spent, strict=True):
            self._spent[budget.key] = level
            self._spent.move_to_end(budget.key)
        while len(self._spent) > MOST:
            self._spent.popitem(last=False)

    def settle(self, quota: Quota, decision: Decision, owed: Sequence[int], money: int = 0) -> None:
        """A reservation made here has ended; the store does not speak of that. `money`: owed by budgets."""
        for bucket, paid, more in zip(quota.buckets, decision.paid, owed, strict=True):
            if paid and bucket.key in self._tats:
                self._tats[bucket.key] += more - paid
        for budget in quota.budgets:
            if budget.key in self._spent:
                self._spent[budget.key] += money - decision.money
