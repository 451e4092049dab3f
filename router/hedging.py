"""A second replica is asked the same while the first one is silent, for those that must not wait, and seldom."""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

from engines.api import Call
from router.api import NoReplica, Rank, Replica
from router.racing import HedgeOutcome, Race, Won
from router.retries import RetryBudget

SHARE, FLOOR = 0.02, 1
"""Of the work that may be hedged, and requests besides, per window of the budget."""


@dataclass(slots=True)
class HedgeAccount:
    """What one model's hedges may still take, and what came of them; it outlives changes of the configuration."""

    budget: RetryBudget
    outcomes: Counter[HedgeOutcome] = field(default_factory=Counter)


class Hedge:
    """How one model's requests are hedged: after so many seconds of silence."""

    def __init__(self, after: float, account: HedgeAccount) -> None:
        self.after = after
        self._account = account

    def __repr__(self) -> str:
        return f"<Hedge after {self.after:g} s, {self._account!r}>"

    def suits(self, rank: Rank, call: Call) -> bool:
        """Whether such a call of that class is to be hedged.

        A whole answer is silent until its end: of a long one that would say nothing about its replica.
        """
        return rank == 0 and not call.whole

    async def run(self, race: Race, first: Replica) -> Won | None:
        """Whose content came first, still charged; None if all have failed, as the race then tells.

        Raises what is no failure of a replica: the caller's mistake.
        """
        self._account.budget.admitted(race.notes.tokens)
        timer = asyncio.get_running_loop().call_later(self.after, self._hedge, race, first)
        try:
            with race:
                return await race.run(first)
        finally:
            timer.cancel()
            if race.hedge is not None:
                self._account.outcomes[race.outcome] += 1

    def _hedge(self, race: Race, first: Replica) -> None:
        """There is nothing from the first one yet."""
        pool = race.pool
        try:
            other = pool.place(race.notes, race.affinity, (first,))
        except NoReplica:
            other = None
        awaited = pool.freed is not None  # places have better uses
        if other is None or awaited or pool.saturated or not self._account.budget.may_retry(race.notes.tokens):
            self._account.outcomes["withheld"] += 1
        else:
            race.start(other)
