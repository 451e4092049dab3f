"""What a plan would have refused: requests as the ledger has them, held to it one after the other, in their time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field
from heapq import heappop, heappush
from typing import Final

from gateway.charging import priced_as
from gateway.config.quotas import Plan
from gateway.pricing import millionths
from gateway.quotas import described, named, quota_of
from gateway.store.spending import Seen
from security.limits.api import Cost, NeverFits, OverLimit, Quota, Reservation
from security.limits.local import LocalLimiter

MINUTE: Final = 60


@dataclass(slots=True)
class Caller:
    """A key's requests, and what would have become of them."""

    tenant: str
    key: str
    requests: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    """By the limit that has room last, such as `tenant tokens_per_minute`, or `model chat tokens_per_day`."""
    never: int = 0
    """Of the refused ones, those that take more than that limit ever has."""
    worst_at: int = 0
    """The minute in which most were refused, in Unix seconds; the first of several."""
    worst: int = 0
    _minute: int = 0
    _in_minute: int = 0

    def refuse(self, limit: str, at: int) -> None:
        """Times rise from one call to the next."""
        self.refused[limit] += 1
        minute = at - at % MINUTE
        if minute != self._minute:
            self._minute, self._in_minute = minute, 0
        self._in_minute += 1
        if self._in_minute > self.worst:
            self.worst_at, self.worst = minute, self._in_minute


class Replay:
    """Of one plan for everybody, enforced or not. Memory is taken for callers and for what is under way at a time.

    A request takes what it did use when it came in, as if that had been known, and is under way as long as it was. The
    ledger knows only in which second it came: those of one are taken as evenly apart. Budgets begin with nothing spent.
    """

    def __init__(self, plan: Plan) -> None:
        self._plan = plan.model_copy(update={"enforce": True})
        self._now = 0.0
        self._limiter = LocalLimiter(lambda: self._now)
        self._quotas: dict[tuple[str, str, str], Quota | None] = {}
        self._under_way: list[tuple[float, int, Reservation, Cost]] = []
        self._number = 0
        self._second: list[Seen] = []
        self.callers: dict[tuple[str, str], Caller] = {}
        """By tenant and key."""
        self.aside = 0
        """Requests that no model was asked for: of what they would have used nothing is known."""
        self.free: Counter[str] = Counter()
        """By model, requests that budgets bound and that used tokens which cost nothing in the ledger."""
        self.first = self.last = 0
        """When the first and the last request came in, in Unix seconds; 0: there was none."""

    def __repr__(self) -> str:
        return f"<Replay of {len(self.callers)} callers, {len(self._under_way)} requests under way, {self.aside} aside>"

    def feed(self, rows: Iterable[Seen]) -> None:
        """In the order in which they came in, from one call to the next, too; behind the last one comes `end`."""
        for row in rows:
            if not row.version:
                self.aside += 1
                continue
            if row.at != self.last:
                self.end()
                self.first, self.last = self.first or row.at, row.at
            self._second.append(row)

    def end(self) -> None:
        """Nothing more comes of this second."""
        for nth, row in enumerate(self._second):
            caller = self.callers.get((row.tenant, row.key))
            if caller is None:
                caller = self.callers[row.tenant, row.key] = Caller(row.tenant, row.key)
            caller.requests += 1
            quota = self._quota(row)
            if quota is not None:
                self._end_until(row.at + nth / len(self._second))
                self._hold(row, quota, caller)
        self._second.clear()

    def _hold(self, row: Seen, quota: Quota, caller: Caller) -> None:
        prompt, completion = row.prompt_tokens, row.completion_tokens
        money = millionths(row.cost) if quota.budgets else 0
        if quota.budgets and not money and row.outcome != "failed" and (prompt or completion):
            self.free[priced_as(row.version)] += 1
        used = Cost(1, prompt, completion, money)
        most = quota.most_output(prompt)
        expected = used if completion <= most else Cost(1, prompt, max(0, most), money)  # the rest is a debt, as ever
        try:
            reservation = self._limiter.take(quota, expected)
        except (OverLimit, NeverFits) as refusal:
            limit = refusal.limit if isinstance(refusal, OverLimit) else refusal.bucket
            holder, name = described(limit)
            whose = f"model {named(limit)}" if holder == "model" else holder
            caller.refuse(f"{whose} {name}", row.at)
            caller.never += isinstance(refusal, NeverFits)
            return
        owed = Cost(0, money=money) if row.outcome == "failed" and not completion else used
        if quota.slots or owed is not expected:
            self._number += 1
            heappush(self._under_way, (self._now + row.duration_ms / 1000, self._number, reservation, owed))

    def _end_until(self, at: float) -> None:
        under_way = self._under_way
        while under_way and under_way[0][0] <= at:
            self._now, _, reservation, owed = heappop(under_way)
            reservation.settle(owed)
        self._now = at

    def _quota(self, row: Seen) -> Quota | None:
        whose = row.tenant, row.key, row.model
        try:
            quota = self._quotas[whose]
        except KeyError:
            return self._put_together(whose, row.at)
        if quota is not None and quota.budgets and not quota.budgets[0].holds(row.at):
            return self._put_together(whose, row.at)
        return quota

    def _put_together(self, whose: tuple[str, str, str], at: int) -> Quota | None:
        quota = self._quotas[whose] = quota_of(self._plan, *whose, at)
        if quota is not None:
            for budget in self._limiter.purse.unknown(quota):
                self._limiter.purse.learn(budget, 0)
        return quota
