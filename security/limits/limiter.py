"""What every way to count limits does, wherever it keeps its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, Protocol

import msgspec

from security.limits.api import Cost, LimitsAway, Quota, Reservation


class Levels(msgspec.Struct, frozen=True):
    """How the limits of a quota stand, of which nothing was taken for that."""

    store: Literal["local", "shared", "away"]
    """Where they are counted. `away`: this is what the store told last, and what has passed here since."""
    gateways: int
    """That share the limits, as far as known."""
    buckets: Sequence[int]
    """Microseconds after which each bucket is as if never used."""
    slots: Sequence[int]
    """Of each slots, how many requests are under way."""
    budgets: Sequence[int | None]
    """Millionths that are spent or held of each; None: the ledger would have to be asked, and can't be."""


AWAY: Final = 2.0
"""Seconds after which who can't be served without what is away is to come again."""


class Unread(LimitsAway):
    """Nothing is counted yet of a budget, of which the ledger knows."""

    def __init__(self) -> None:
        super().__init__(AWAY)


class Limiter(Protocol):
    """Reserves for requests what they may use."""

    def take(self, quota: Quota, cost: Cost) -> Reservation | None:
        """At once; None, or Unread: `reserve` has to be awaited. Raises OverLimit, NeverFits or LimitsAway."""
        ...

    async def reserve(self, quota: Quota, cost: Cost) -> Reservation:
        """As `take`, by asking the store. What it reserves and nobody gets, as they have left, is given back."""
        ...

    async def levels(self, quota: Quota) -> Levels:
        """How its limits stand. Raises nothing."""
        ...

    @property
    def trouble(self) -> str:
        """What is wrong with the store, for people; "" if nothing is."""
        ...

    async def start(self) -> None: ...

    async def watch(self) -> None:
        """What goes on beside requests, until cancelled."""
        ...

    async def aclose(self) -> None: ...
