"""The replica with the least work in tokens: of a few the best, of many the better of two."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from router.api import Affinity, Replica

ALL = 8
"""Up to so many are all compared. Of more, two random ones are nearly as good, for less, and no herd's target."""


class LeastLoaded:
    """Compares tokens per weight; equals are drawn for.

    A replica that may have half of a share is looked at half of the time. Its weight alone would not do: with nothing
    under way it is as idle as any other, and one that fails at once always is.
    """

    heeds_affinity = False

    def __init__(self, random: Random) -> None:
        self._draw = random.random

    def __repr__(self) -> str:
        return "<LeastLoaded>"

    def pick(self, replicas: Sequence[Replica], affinity: Affinity) -> Replica:
        count = len(replicas)
        if count == 1:
            return replicas[0]
        if count > ALL:
            draw = self._draw
            first = int(draw() * count)
            second = int(draw() * (count - 1))
            replicas = (replicas[first], replicas[second + (second >= first)])
        return self._least(replicas, thin=True) or self._least(replicas, thin=False) or replicas[0]

    def _least(self, replicas: Sequence[Replica], *, thin: bool) -> Replica | None:
        draw = self._draw
        best: Replica | None = None
        lowest = float("inf")
        equals = 1
        for replica in replicas:
            weight = replica.weight
            if weight < 1.0 and thin and draw() >= weight:
                continue
            load = (replica.tokens + replica.others) / weight
            if load < lowest:
                best, lowest, equals = replica, load, 1
            elif load == lowest:
                equals += 1
                if draw() * equals < 1.0:
                    best = replica
        return best
