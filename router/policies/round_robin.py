"""Each replica in turn."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from random import Random

from router.api import Affinity, Replica


class RoundRobin:
    """Keeps a turn for each number of replicas that are left, so that fail-overs do not shift that of first attempts.

    With one turn for all, every fail-over would move it by one more, and a replica that is down would be the first
    choice of each request. One that may have half of a share lets half of its turns pass.
    """

    heeds_affinity = False

    def __init__(self, random: Random) -> None:
        self._draw = random.random
        self._turns: Counter[int] = Counter()

    def __repr__(self) -> str:
        return f"<RoundRobin after {self._turns.total()} turns>"

    def pick(self, replicas: Sequence[Replica], affinity: Affinity) -> Replica:
        count = len(replicas)
        if count == 1:
            return replicas[0]
        replica = replicas[0]
        for _ in range(count):
            replica = replicas[self._turns[count] % count]
            self._turns[count] += 1
            if replica.weight >= 1.0 or self._draw() < replica.weight:
                break
        return replica
