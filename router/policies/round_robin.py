"""Each replica in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from router.api import Replica


class RoundRobin:
    """Keeps a turn for each number of replicas that are left, so that fail-overs do not shift that of first attempts.

    With one turn for all, every fail-over would move it by one more, and a replica that is down would be the first
    choice of each request.
    """

    def __init__(self) -> None:
        self._turns: Counter[int] = Counter()

    def __repr__(self) -> str:
        return f"<RoundRobin after {self._turns.total()} picks>"

    def pick(self, replicas: Sequence[Replica]) -> Replica:
        count = len(replicas)
        if count == 1:
            return replicas[0]
        turn = self._turns[count] % count
        self._turns[count] += 1
        return replicas[turn]
