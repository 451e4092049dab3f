"""Replicas to choose from, whose engines only say how busy they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

from engines.api import Call, Capacity, Health, Load, Reply
from router.api import Affinity, Policy, Replica
from tests.support.gates import Noted


class SaysLoad:
    """An engine that takes no calls."""

    load: Load | None = None
    capacity: Capacity | None = None

    async def start(self) -> None: ...

    async def call(self, call: Call) -> Reply:
        raise NotImplementedError

    async def probe(self) -> Health:
        raise NotImplementedError

    async def aclose(self) -> None: ...


class SaysNothing(SaysLoad):
    """An engine of a kind that has no load to tell."""

    def __getattribute__(self, name: str) -> object:
        if name == "load":
            raise AttributeError(name)
        return super().__getattribute__(name)


def replicas(count: int, *weights: float) -> list[Replica]:
    """r0, r1, ...; the first of them with these weights."""
    made = [Replica(f"r{number}", SaysLoad()) for number in range(count)]
    for replica, weight in zip(made, weights, strict=False):
        replica.weight = weight
    return made


def charge(replica: Replica, tokens: int) -> None:
    """One more call under way, as a pool notes it."""
    replica.active[Noted(tokens)] = 1.0
    replica.tokens += tokens


def shares(policy: Policy, among: Sequence[Replica], affinities: Sequence[Affinity]) -> list[float]:
    """Of these picks, with nothing charged in between; in the order of the replicas."""
    picked = Counter(policy.pick(among, affinity) for affinity in affinities)
    return [picked[replica] / len(affinities) for replica in among]
