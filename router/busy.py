"""How busy replicas are, in tokens: with our own work, and with what their engines say of the work of others."""

from __future__ import annotations

from collections.abc import Sequence

from engines.api import Load
from router.api import Replica

UNKNOWN = 512
"""Tokens that a call of others is taken for where there is none of our own to compare it with."""


def load(replica: Replica) -> float:
    """Tokens under way per share of work that it may have: what it is behind by, compared with others."""
    return (replica.tokens + replica.others) / replica.weight


def mean_load(replicas: Sequence[Replica]) -> float:
    """What `load` would be of each if the work of all were spread by weight.

    Not the mean of what it is: one call on a replica of hardly any weight would make all others look idle.
    """
    tokens = weight = 0.0
    for replica in replicas:
        tokens += replica.tokens + replica.others
        weight += replica.weight
    return tokens / weight


def listen(replicas: Sequence[Replica]) -> None:
    """Bring `others` up to date, for all replicas of a version at once; often enough to see each reading come in.

    A reading is compared with our own calls when it comes, and stands until the next: our own then come and go
    without being taken for those of others. Who says nothing is taken for as busy as those who do, never for idle.
    """
    told: list[float] = []
    silent: list[Replica] = []
    for replica in replicas:
        said: Load | None = getattr(replica.engine, "load", None)
        if said is None or (said.running is None and said.waiting is None):
            replica.heard = None
            silent.append(replica)
            continue
        if said is not replica.heard:
            replica.heard = said
            replica.others = _of_others(replica, (said.running or 0) + (said.waiting or 0))
        told.append(replica.others)
    supposed = sum(told) / len(told) if told else 0.0
    for replica in silent:
        replica.others = supposed


def _of_others(replica: Replica, requests: int) -> float:
    own = replica.in_flight
    return max(0, requests - own) * (replica.tokens / own if own else UNKNOWN)
