"""Requests that no model server was asked for, as the ledger keeps them: in sums, so that a flood fills no disk."""

from __future__ import annotations

from gateway.accounts import Record
from gateway.store.spending import COUNTS, NONE, Spent, Sums, fields_of


def is_refused(record: Record) -> bool:
    """Whether it came to nothing before a model server was asked, so that to make many costs a caller nothing."""
    return not record.attempts and record.outcome != "success"


class Refusals:
    """What they add up to, in at most `bound` sums, until they are written."""

    def __init__(self, bound: int) -> None:
        self._bound = bound
        self._sums: dict[tuple[object, ...], list[int]] = {}
        self.count = 0

    def __repr__(self) -> str:
        return f"<Refusals {self.count} in {len(self._sums)} sums>"

    def add(self, row: Spent) -> bool:
        """Whether there was room for it. They have used nothing."""
        of = fields_of(row)
        if of not in self._sums and len(self._sums) >= self._bound:
            return False
        counts = self._sums.setdefault(of, [0] * len(COUNTS))
        counts[0] += 1
        counts[1] += row.outcome == "failed"
        self.count += 1
        return True

    def take(self) -> tuple[Sums, int]:
        """All sums, and how many requests are in them; it begins anew."""
        taken, count = self._sums or NONE, self.count
        self._sums, self.count = {}, 0
        return taken, count
