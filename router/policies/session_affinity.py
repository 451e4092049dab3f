"""The same replica for a session's calls, as long as it is no busier than that is worth."""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from hashlib import blake2b
from random import Random

from router.api import Affinity, Replica
from router.busy import load, mean_load
from router.policies.least_loaded import LeastLoaded

TOLERATED = 2.0
"""Times the mean load that a session's replica may have."""
SLACK = 2048
"""Tokens on top, so that one long call on idle replicas breaks no affinity."""
_MASK = (1 << 64) - 1


class SessionAffinity:
    """Rendezvous hashing by name: all gateways agree, and a replica that comes or goes moves its own sessions only.

    The same holds for weights: a replica's share of sessions shrinks and grows, and the others exchange none.
    """

    heeds_affinity = True

    def __init__(self, random: Random) -> None:
        self._otherwise = LeastLoaded(random)
        self._place = lru_cache(maxsize=1024)(_hash)  # of replica names

    def __repr__(self) -> str:
        return f"<SessionAffinity of {self._place.cache_info().currsize} replicas>"

    def pick(self, replicas: Sequence[Replica], affinity: Affinity) -> Replica:
        if not affinity.session or len(replicas) == 1:
            return self._otherwise.pick(replicas, affinity)
        replica = self._home(replicas, _hash(affinity.session))
        if load(replica) > TOLERATED * mean_load(replicas) + SLACK:
            return self._otherwise.pick(replicas, affinity)
        return replica

    def _home(self, replicas: Sequence[Replica], session: int) -> Replica:
        place = self._place
        home, highest = replicas[0], -1.0
        for replica in replicas:
            # Modulo 2**64, the multiples of a random number by two others are as good as independent of each other.
            score: float = session * place(replica.name) & _MASK
            if replica.weight < 1.0:
                score = (score / _MASK) ** (1.0 / replica.weight) * _MASK  # the highest wins in proportion to weights
            if score > highest:
                home, highest = replica, score
        return home


def _hash(name: str | bytes) -> int:
    data = name.encode() if isinstance(name, str) else name
    return int.from_bytes(blake2b(data, digest_size=8).digest())
