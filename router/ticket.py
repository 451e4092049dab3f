"""What waits for a place on a replica: on which terms, and what it is worth."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import NamedTuple

from engines.api import LARGE_GPU, Prices
from router.api import Affinity, Notes, Reason, Replica
from router.fair_queue import Bounds


@dataclass(slots=True, frozen=True)
class Terms:
    """How many may wait, and how long (seconds, by class) a request may wait for its start.

    `prices` hold until the version's replicas were seen at work.
    """

    bounds: Bounds
    start_within: tuple[float, float, float]
    prices: Prices = LARGE_GPU


class Refusal(NamedTuple):
    """Why a request would get no place, and in how many seconds one could, as far as that can be told."""

    reason: Reason
    wait: float | None


class Ticket:
    """A request that waits. Its `turn` comes with a replica, which is charged with it, or with why there is none."""

    __slots__ = (
        "affinity", "charge", "due", "notes", "passed_since", "rank", "size", "tenant", "turn", "weight", "work",
    )  # fmt: skip

    def __init__(self, notes: Notes, affinity: Affinity, due: float) -> None:
        self.notes = notes
        self.affinity = affinity
        self.due = due
        """When it must have its place, to begin in time."""
        self.tenant = notes.tenant
        self.weight = notes.weight
        self.rank: int = notes.rank
        self.size = notes.body_bytes
        self.work = notes.work
        self.charge = float(fair_charge(notes.prompt, notes.tokens - notes.prompt))
        self.turn: asyncio.Future[Replica] = asyncio.get_running_loop().create_future()
        self.passed_since = 0.0
        """Since when it comes first and does not fit; 0.0: it has not been so."""

    def __repr__(self) -> str:
        return f"<Ticket of {self.tenant or 'anybody'} for {self.charge:.0f} tokens, due {self.due:.1f}>"


def fair_charge(prompt: int, output: int) -> int:
    """Tokens that a request costs its tenant: those of an answer are twice as dear (the virtual token counter's)."""
    return prompt + 2 * output
