"""Each replica in turn."""

from __future__ import annotations

from collections.abc import Sequence

from router.api import Replica


class RoundRobin:
    """Picks by a counter, so that replicas which drop out for one request do not shift the turn of the others."""

    def __init__(self) -> None:
        self._turn = -1

    def __repr__(self) -> str:
        return f"<RoundRobin at {self._turn}>"

    def pick(self, replicas: Sequence[Replica]) -> Replica:
        self._turn += 1
        return replicas[self._turn % len(replicas)]
