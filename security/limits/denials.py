"""Whom the store has just refused, it need not be asked again for a moment: under attack it has a quiet life.

For a bucket that is until it would have had room, for half a second at most, as others may give back meanwhile; what
this gateway gives back itself counts at once. Of a busy one nobody gets anything until there may be room for as much as
is taken in advance (see leases.py): else each bit of room would be asked for by itself. For slots it is so short that
one let go of elsewhere is free here within 50 ms, ten of which it may take to be told; for budgets half a second.
"""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from security.limits.api import SECOND, Bucket, Decision, Limit, OverLimit, Quota, Slots
from security.limits.budget import Budget
from security.limits.gcra import reserve
from security.limits.known import Known
from security.limits.spending import spend

LONGEST = SECOND // 2
TAKEN = SECOND // 45
"""Microseconds after which slots that were all taken are asked for again, on the average."""
KEPT = 20_000
"""Most limits of which a refusal is remembered; when there are more, all are asked about once again."""


class Denials:
    """By where buckets stand as far as known; `random` has gateways and limits ask at different times again."""

    def __init__(self, known: Known, random: Random) -> None:
        self._known = known
        self._random = random
        self._until: dict[str, int] = {}
        self._gathers: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Denials of {len(self._until)} limits>"

    def note(self, refusal: Decision, gather: int) -> int:
        """The store has refused. `gather`: microseconds in which room is to gather, if it is by a busy bucket; or 0.

        How long to wait, in microseconds: nobody gets anything of a bucket in which room gathers.
        """
        limit = refusal.refused_by
        assert limit is not None
        if len(self._until) >= KEPT:
            self._until.clear()
            self._gathers.clear()
        longest = LONGEST if isinstance(limit, Budget) else TAKEN
        if isinstance(limit, Bucket):
            longest = min(max(refusal.wait, gather), LONGEST)
        self._until[limit.key] = until = self._known.now() + round(longest * self._random.uniform(0.5, 1.5))
        if not gather:
            return refusal.wait
        self._gathers[limit.key] = until
        return max(refusal.wait, until - self._known.now())

    def lift(self, many: Sequence[Slots]) -> None:
        """A slot of each is free here."""
        for slots in many:
            self._until.pop(slots.key, None)

    def check(self, quota: Quota, asked: Sequence[int], money: int = 0) -> None:
        """Raises OverLimit for what the store would refuse, too, or NeverFits."""
        now, until = self._known.now(), self._until
        if not self._concern(quota, now):
            return
        tats = [self._known.tat(bucket.key) for bucket in quota.buckets]
        if quota.budgets:
            self._check_budgets(quota, money, Decision(now, tats, (), ()))
        taken = [slots.limit if until.get(slots.key, 0) > now else 0 for slots in quota.slots]
        if any(taken):
            decision = reserve(quota, asked, tats, taken, now)  # whose wait may be longer
            if decision.refused_by is not None:
                raise OverLimit(quota, decision)
        if any(until.get(bucket.key, 0) > now for bucket in quota.buckets):
            decision = reserve(Quota(quota.tenant, quota.buckets), asked, tats, (), now)
            if decision.refused_by is not None and until.get(decision.refused_by.key, 0) > now:
                raise OverLimit(quota, decision)
            for bucket, micros in zip(quota.buckets, asked, strict=True):
                if micros and bucket.enforce and self._gathers.get(bucket.key, 0) > now:
                    wait = self._gathers[bucket.key] - now
                    raise OverLimit(quota, Decision(now, tats, (), (), (), bucket, wait))

    def _concern(self, quota: Quota, now: int) -> bool:
        until = self._until
        limits: tuple[Limit, ...] = (*quota.buckets, *quota.slots, *quota.budgets)
        for limit in limits:  # noqa: SIM110  # half the cost of any, and each request comes here
            if until.get(limit.key, 0) > now:
                return True
        return False

    def _check_budgets(self, quota: Quota, money: int, so_far: Decision) -> None:
        if any(self._until.get(budget.key, 0) > so_far.now for budget in quota.budgets):
            spent = [self._known.spent(budget.key) or 0 for budget in quota.budgets]
            decision = spend(quota, money, spent, so_far, so_far.tats)
            if decision.refused_by is not None:
                raise OverLimit(quota, decision)
