"""What one gateway may let pass on its own while the store that gateways share is away: its part of each limit.

A part drains as fast as the whole, so a bucket's level is the same in both: a gateway goes on from the level that it
was told last; of a budget, which does not drain, it has its part of what was left then. With N gateways known, no more
passes than in limit/window x W + burst, and N/N' times that if there are N' of them really. What has passed meanwhile
is charged to the store once it is back.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial

from msgspec import structs

from security.limits.api import Bucket, Cost, Decision, LimitsAway, NeverFits, Quota, Reservation
from security.limits.budget import Budget
from security.limits.gcra import charges, owes, refuse_misfits
from security.limits.known import Known
from security.limits.limiter import AWAY, Levels
from security.limits.local import LOOKED_AT, LocalLimiter
from security.limits.spending import costs


@dataclass(slots=True)
class _Used:
    """A bucket of which something passed here alone, and the TAT that it began with."""

    tenant: str
    bucket: Bucket
    begin: int


class Shares:
    """`known` is what the store told before; `clock` is monotonic, in seconds. `gateways`: how many there are."""

    def __init__(self, known: Known, clock: Callable[[], float]) -> None:
        self.gateways = 1
        self._known = known
        self._clock = clock
        self._used: OrderedDict[str, _Used] = OrderedDict()
        self._spent: dict[str, int] = {}
        """Of budgets, in millionths, when something passed here alone for the first time."""
        self._local = LocalLimiter(clock)
        self._late: list[tuple[Quota, int]] = []

    def __repr__(self) -> str:
        return f"<Shares 1/{self.gateways}, {len(self._used)} buckets in use>"

    def take(self, quota: Quota, cost: Cost) -> Reservation:
        """Of its buckets and budgets. Raises OverLimit, NeverFits or LimitsAway, as of budgets that nobody knows."""
        new = [bucket for bucket in quota.buckets if bucket.key not in self._used]
        self._forget_drained(LOOKED_AT * len(new))
        for bucket in new:
            begin = self._known.tat(bucket.key)
            if begin:
                self._local.put(bucket.key, begin)
            self._used[bucket.key] = _Used(quota.tenant, bucket, begin)
        for budget in quota.budgets:
            spent = self._known.spent(budget.key)
            if budget.key not in self._spent and spent is not None:
                self._local.purse.learn(budget, spent)
                self._spent[budget.key] = spent
        try:
            mine = self._local.take(self._part(quota), cost)
        except NeverFits:
            refuse_misfits(quota, charges(quota, cost))
            raise LimitsAway(AWAY) from None
        return Reservation(mine.quota, mine.decision, partial(self._end, self._local, mine, quota, cost))

    def levels(self, quota: Quota, held: Sequence[int]) -> Levels:
        """By what is known and what has passed here since; so many of its slots are `held` here."""
        now, local, known = self._known.now(), self._local, self._known
        tats = [(local if bucket.key in self._used else known).tat(bucket.key) for bucket in quota.buckets]
        spent = [
            local.purse.level(budget) if budget.key in self._spent else known.spent(budget.key)
            for budget in quota.budgets
        ]
        return Levels("away", self.gateways, [max(0, tat - now) for tat in tats], held, spent)

    def debts(self) -> Iterator[tuple[Quota, int]]:
        """Buckets and the microseconds that each is to be charged for what passed; it begins anew with the first.

        It is known from then on, as the store may be away again before it has told of it.
        """
        everything, spent, local, gateways = self._used, self._spent, self._local, self.gateways
        self._used, self._spent, self._local = OrderedDict(), {}, LocalLimiter(self._clock)
        for name in spent:
            self._known.put_spent(name, local.purse.levels[name])
        for name, used in everything.items():
            begin = max(used.begin, self._known.now())
            owed = (local.tat(name) - begin) // gateways
            if owed > 0:
                self._known.put(name, begin + owed)
                yield Quota(used.tenant, (used.bucket,)), owed

    def late(self) -> Iterator[tuple[Quota, int]]:
        """The same of those who ended after they were charged as expected: what they used beyond that, or less."""
        late, self._late = self._late, []
        yield from late

    def _end(  # as it was taken, and as reservations end
        self, local: LocalLimiter, mine: Reservation, quota: Quota, cost: Cost,
        _part: Quota, decision: Decision, actual: Cost,
    ) -> None:  # fmt: skip
        mine.settle(actual)
        if local is self._local:
            return
        owed, expected = owes(quota, actual), charges(quota, cost)
        charged = [None if paid is None else micros for paid, micros in zip(decision.paid, expected, strict=True)]
        self._known.settle(quota, structs.replace(decision, paid=charged), owed, costs(actual))
        for bucket, micros, more in zip(quota.buckets, charged, owed, strict=True):
            if micros is not None:
                self._late.append((Quota(quota.tenant, (bucket,)), more - micros))

    def _forget_drained(self, looks: int) -> None:
        """Of what passed and has drained nothing is owed."""
        now = self._known.now()
        for _ in range(min(looks, len(self._used))):
            name, used = self._used.popitem(last=False)
            if self._local.tat(name) > now:
                self._used[name] = used

    def _part(self, quota: Quota) -> Quota:
        part = self.gateways
        return Quota(
            quota.tenant,
            tuple(
                replace(bucket, limit=max(1, bucket.limit // part), burst=max(1, bucket.burst // part))
                for bucket in quota.buckets
            ),
            budgets=tuple(replace(budget, limit=self._part_of(budget)) for budget in quota.budgets),
        )

    def _part_of(self, budget: Budget) -> int:
        """What was spent, and a part of what was left then."""
        spent = self._spent.get(budget.key, 0)
        return max(1, spent + max(0, budget.limit - spent) // self.gateways)
