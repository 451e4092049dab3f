"""What this gateway has taken of busy limits in advance: most of their requests pass without a question to the store.

A chunk is half a second of the limit's rate, divided by the gateways there are; or one request, if that is more; but no
more than a quarter of the burst. What gathers beyond half a second's part, as requests give back, is given back some
times a second. So in any window so much more may pass for each gateway. Slots are never taken in advance: whoever lets
one go frees it for all; nor is money, so that it is spent to the end.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass

from security.limits.api import SECOND, Bucket, Cost, Decision, Quota
from security.limits.gcra import owes
from security.limits.known import Known

CHUNK = SECOND // 2
IDLE = 2 * SECOND
"""Microseconds after which what nobody has used is given back."""
BUSY = 10
"""Questions for a limit in one second that make it worth while."""
WATCHED = 20_000
"""Most limits of which it is known how busy they are."""
TOGETHER = 100
"""Most buckets of one charge."""


@dataclass(slots=True)
class _Lease:
    """What is left of a bucket here, in microseconds of it."""

    tenant: str
    bucket: Bucket
    left: int = 0
    used_at: int = 0


@dataclass(slots=True)
class _Pace:
    """Questions in this second and in the one before it."""

    since: int
    count: int = 0
    before: int = 0


class Leases:
    """By bucket. Whoever gets a Decision owes an `end`; so many questions a second as `busy` says make a limit busy."""

    def __init__(self, known: Known, busy: int = BUSY) -> None:
        self.busy = busy
        self._known = known
        self._leases: dict[str, _Lease] = {}
        self._paces: dict[str, _Pace] = {}
        self._asked: set[str] = set()

    def __repr__(self) -> str:
        return f"<Leases of {len(self._leases)} buckets>"

    def take(self, quota: Quota, asked: Sequence[int]) -> Decision | None:
        """None: the store is to be asked. Counts how often that is wanted."""
        if quota.slots or quota.budgets or not any(asked):
            return None
        self._count(quota.buckets[0].key, self._known.now())
        return self.draw(quota, asked)

    def draw(self, quota: Quota, asked: Sequence[int]) -> Decision | None:
        """The same for who has asked the store already: what came of questions before it may be there now."""
        if quota.slots or quota.budgets:
            return None
        now, leases = self._known.now(), self._leases
        for bucket, micros in zip(quota.buckets, asked, strict=True):
            lease = leases.get(bucket.key)
            if micros and (lease is None or lease.left < micros):
                return None
        for bucket, micros in zip(quota.buckets, asked, strict=True):
            if micros:
                lease = leases[bucket.key]
                lease.left -= micros
                lease.used_at = now
        return Decision(now, [self._known.tat(bucket.key) for bucket in quota.buckets], asked, ())

    def end(self, quota: Quota, decision: Decision, actual: Cost) -> Iterator[tuple[Quota, int]]:
        """What the store is to be charged for it besides, of single buckets; what is given back stays here."""
        for bucket, paid, owed in zip(quota.buckets, decision.paid, owes(quota, actual), strict=True):
            more = owed - (paid or 0)
            lease = self._leases.get(bucket.key)
            if lease is not None:
                left = lease.left - more
                lease.left, more = max(0, left), max(0, -left)
            if more:
                yield Quota(quota.tenant, (bucket,)), more

    def wanted(self, quota: Quota, asked: Sequence[int], gateways: int) -> list[int]:
        """Of each bucket, to be taken in advance with a question for so much; nothing unless the limit is busy.

        Nor of one for which somebody is asking already: whoever is told owes an `answered`.
        """
        if not self._are_busy(quota):
            return []
        wanted = [
            min(max(CHUNK // gateways, micros), bucket.span // (4 * gateways))
            if micros and bucket.key not in self._asked
            else 0
            for bucket, micros in zip(quota.buckets, asked, strict=True)
        ]
        self._asked.update(bucket.key for bucket, micros in zip(quota.buckets, wanted, strict=True) if micros)
        return wanted

    def answered(self, quota: Quota, wanted: Sequence[int]) -> None:
        """The question that took so much along has been, or never will be."""
        for bucket, micros in zip(quota.buckets, wanted, strict=False):
            if micros:
                self._asked.discard(bucket.key)

    def gather(self, quota: Quota, refusal: Decision) -> int:
        """Microseconds in which room of what has refused is to gather, so that there is a chunk to be taken then.

        0 as well where there is one already: who asked for more than that is refused, and nobody else.
        """
        limit = refusal.refused_by
        if not isinstance(limit, Bucket) or not self._are_busy(quota):
            return 0
        chunk = min(CHUNK, limit.span // 4)
        tat = refusal.tats[quota.buckets.index(limit)]
        return chunk if tat + chunk > refusal.now + limit.span else 0

    def grant(self, quota: Quota, granted: Sequence[int]) -> None:
        """The store has given so much of each bucket, if there was anything wanted."""
        now = self._known.now()
        for bucket, micros in zip(quota.buckets, granted, strict=False):
            if micros:
                lease = self._leases.setdefault(bucket.key, _Lease(quota.tenant, bucket))
                lease.left += micros
                lease.used_at = now

    def give_back(self, gateways: int, *, all_of_it: bool = False) -> Iterator[tuple[Quota, int]]:
        """What the store is to be charged, below 0: of what is idle, and of what is more than a gateway's part."""
        now = self._known.now()
        for name, lease in tuple(self._leases.items()):
            over = all_of_it or now - lease.used_at >= IDLE
            back = lease.left if over else lease.left - CHUNK // gateways
            if over:
                del self._leases[name]
            if back > 0:
                lease.left -= back
                yield Quota(lease.tenant, (lease.bucket,)), -back

    def _are_busy(self, quota: Quota) -> bool:
        pace = self._paces.get(quota.buckets[0].key) if quota.buckets and not (quota.slots or quota.budgets) else None
        if pace is None or max(pace.count, pace.before) < self.busy:
            return False
        return all(bucket.enforce for bucket in quota.buckets)

    def _count(self, name: str, now: int) -> None:
        pace = self._paces.get(name)
        if pace is None:
            if len(self._paces) >= WATCHED:
                self._paces.clear()
            pace = self._paces[name] = _Pace(now)
        elif now - pace.since >= SECOND:
            pace.before = pace.count if now - pace.since < 2 * SECOND else 0
            pace.since, pace.count = now, 0
        pace.count += 1


def together(debts: Iterable[tuple[Quota, int]]) -> Iterator[tuple[Quota, Sequence[int]]]:
    """What single buckets are charged, in as few charges as can be: each is of one tenant's buckets."""
    tenants: defaultdict[str, dict[Bucket, int]] = defaultdict(dict)
    for quota, micros in debts:
        tenants[quota.tenant][quota.buckets[0]] = micros
    for tenant, owed in tenants.items():
        buckets, charged = tuple(owed), tuple(owed.values())
        for at in range(0, len(buckets), TOGETHER):
            yield Quota(tenant, buckets[at : at + TOGETHER]), charged[at : at + TOGETHER]
