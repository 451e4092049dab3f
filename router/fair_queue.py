"""Who is next of those for whom there is no room on a replica yet: classes, tenants by weight, earliest deadline."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from math import inf
from typing import Generic, Literal, TypeVar

from router.heap import Heap
from router.lanes import Lane, Waiting
from router.limits import HEADROOM

__all__ = ["RANKS", "Bounds", "FairQueue", "Full", "Waiting"]

RANKS = ("critical", "standard", "batch")
"""The classes, first served first; a rank is an index here."""
STANDARD = 1

FLOOR = 0.05
"""Of the work that is served, what class 1 gets at least while it waits behind class 0."""
SAVED = 5.0
"""Seconds of work at which its claim grows no more, or its first request's where that is more: it would be a burst."""

Full = Literal["queue_full", "tenant_full"]

T = TypeVar("T", bound=Waiting)


@dataclass(slots=True, frozen=True)
class Bounds:
    """What may wait, `size` in bytes, and the `share` of both that one tenant may take. One request it may always."""

    requests: int = 2000
    size: int = 256 * 1024 * 1024
    share: float = 0.25


class FairQueue(Generic[T]):
    """Pure: it knows no clock and no replicas; who serves tries the `heads` in turn and takes the first that fits.

    While anything waits, whatever is served has to come through here, if only for an instant: by that a lower class
    gets its floor, and a tenant is charged. Every operation is O(log n), but where it says something else.
    """

    def __init__(self, bounds: Bounds) -> None:
        self.size = 0
        """Bytes of the bodies that wait."""
        self.bounds = bounds
        self._lanes: tuple[Lane[T], ...] = tuple(Lane() for _ in RANKS)
        self._dues: Heap[T] = Heap()  # of all that waits
        self._claim = 0.0  # seconds of work that class 0 owes class 1

    def __repr__(self) -> str:
        depths = "+".join(str(lane.depth) for lane in self._lanes)
        return f"<FairQueue {depths} of {self.bounds.requests} waiting, {self.size} B>"

    def __len__(self) -> int:
        return len(self._dues)

    def __contains__(self, ticket: T) -> bool:
        return ticket in self._dues

    def room(self, tenant: str, size: int, rank: int = 0) -> Full | None:
        """What is full for one more request of so many bytes; None: nothing is. O(1).

        A class leaves room to those above it: what can wait must not keep out what can't.
        """
        bounds, rest = self.bounds, 1 - HEADROOM[rank]
        if len(self._dues) >= bounds.requests * rest or self.size + size > bounds.size * rest:
            return "queue_full"
        if not tenant:  # nobody's: where nobody is known there is no one to leave room for
            return None
        requests = held = 0
        for lane in self._lanes:
            some, more = lane.held(tenant)
            requests += some
            held += more
        if requests and (requests + 1 > bounds.share * bounds.requests or held + size > bounds.share * bounds.size):
            return "tenant_full"
        return None

    def add(self, ticket: T) -> None:
        """Whoever adds has asked for `room`. A tenant's weight is that of its latest ticket."""
        self._lanes[ticket.rank].add(ticket)
        self._dues.put(ticket, ticket.due)
        self.size += ticket.size

    def discard(self, ticket: T) -> bool:
        """Nobody waits for it any more; False if it isn't here."""
        if not self._dues.discard(ticket):
            return False
        self._lanes[ticket.rank].discard(ticket)
        self._left(ticket)
        return True

    def heads(self) -> Iterator[T]:
        """In the order in which they should be served now; ends with the first change.

        In each class one per tenant, and then the others, which may pass those that don't fit.

        Lazy: the k-th costs O(log k). Classes are strict, but that one of class 1 comes first once class 0 owes it
        as much.
        """
        early: T | None = None
        if self._claim and self._lanes[STANDARD].first.work <= self._claim:
            early = self._lanes[STANDARD].first
            yield early
        for lane in self._lanes:
            for ticket in lane:
                if ticket is not early:
                    yield ticket

    def take(self, ticket: T) -> None:
        """It is served: its tenant is charged, and its class for the floor. Raises KeyError if it isn't here."""
        self._lanes[ticket.rank].take(ticket)
        self._dues.discard(ticket)
        standard = self._lanes[STANDARD]
        if ticket.rank < STANDARD and standard.depth:
            if self._claim < max(SAVED, standard.first.work):
                self._claim += ticket.work * FLOOR / (1.0 - FLOOR)
        elif ticket.rank == STANDARD:
            self._claim = max(0.0, self._claim - ticket.work)
        self._left(ticket)

    def settle(self, tenant: str, rank: int, weight: int, difference: float) -> None:
        """It has used so many tokens more than it was charged for. Nothing happens if its counter is forgotten.

        A counter is forgotten when nobody waits in its class, or when those who do have all come as far. A correction
        takes back no more than was charged since: what was forgotten can't be given back.
        """
        self._lanes[rank].settle(tenant, weight, difference)

    def expire(self, now: float, most: float = inf) -> list[T]:
        """Takes out all, or so many at most, that must have started by now, earliest first; O(log n) each."""
        expired: list[T] = []
        while self._dues and self._dues.first.due <= now and len(expired) < most:
            ticket = self._dues.first
            self.discard(ticket)
            expired.append(ticket)
        return expired

    def ahead(self, rank: int, tenant: str, weight: int, due: float = inf) -> float:
        """Seconds of the work that waits and would be served before a newcomer of this tenant that is due then. O(1).

        All of the classes above. Of its own class what the tenant has waiting, and what the others get meanwhile, each
        by its weight: as much as that, and as the tenant has been served ahead of the floor; never more than waits.
        One that has neither is next. To count one request of each of the others would be too much for it: some of them
        stand at the floor as well, but the rest are ahead of it by a part of a request.
        """
        return sum(lane.work for lane in self._lanes[:rank]) + self._lanes[rank].ahead(tenant, weight, due)

    def apiece(self, rank: int, tenant: str, weight: int) -> float:
        """Seconds of the work that is served while one more request of this tenant is, with what the others of its
        class get meanwhile, each by its weight. By those that wait in it, or else in the others; 0.0: none do. O(1).
        """
        lane = self._lanes[rank]
        if lane.depth:
            return lane.work / lane.depth * (1 + lane.others(tenant) / weight)
        return sum(other.work for other in self._lanes) / len(self._dues) if self._dues else 0.0

    def depth(self, rank: int) -> int:
        """Requests that wait in this class."""
        return self._lanes[rank].depth

    def work(self, rank: int) -> float:
        """Seconds of their work."""
        return self._lanes[rank].work

    def charge(self, rank: int) -> float:
        """Tokens that their tenants are charged for them."""
        return self._lanes[rank].charge

    def shares(self) -> list[tuple[str, int, int, float]]:
        """Tenant, rank, requests that wait, and tokens per weight served, for people; O(n).

        Also of those with nothing waiting that have been served ahead of the others. Counters compare within a rank.
        """
        return [
            (tenant, rank, queued, counter)
            for rank, lane in enumerate(self._lanes)
            for tenant, queued, counter in lane.shares()
        ]

    def _left(self, ticket: T) -> None:
        self.size -= ticket.size
        if not self._lanes[STANDARD].depth:
            self._claim = 0.0
