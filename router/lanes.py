"""One class of the queue: whose turn it is among tenants, by what each has had, and which of a tenant's is due first.

Virtual token counters (VTC): a tenant's counter grows by what is served, per weight, and the lowest one is next. Who
begins to wait starts where the lowest of those who waited stood when one was last served, if it is not beyond that:
idle time saves nothing up, and nobody who asks seldom stands behind a whole request of those who always do.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice, takewhile
from typing import Generic, Protocol, TypeVar

from router.heap import Heap

COUNTED = 16
"""Requests of one tenant that are looked at one by one."""


class Waiting(Protocol):
    """What stands in the queue. None of this changes while it does, and it is hashed by identity."""

    tenant: str
    """Who is charged."""
    weight: int
    """The tenant's, at least 1."""
    rank: int
    """Its class: an index into `RANKS`."""
    due: float
    """It must have started by then (loop seconds)."""
    charge: float
    """Tokens that it costs its tenant: prompt + 2 x expected output."""
    work: float
    """Seconds of a replica's work, estimated."""
    size: int
    """Bytes of its body."""


T = TypeVar("T", bound=Waiting)


class Backlog(Generic[T]):
    """What one tenant has waiting in one class, and its counter: tokens per weight that it has been served."""

    __slots__ = ("counter", "least", "size", "tenant", "tickets", "weight", "work")

    def __init__(self, tenant: str, counter: float) -> None:
        self.tenant = tenant
        self.counter = counter
        self.least = counter
        """Where its counter began: no correction takes back more than was charged since."""
        self.weight = 1
        self.tickets: Heap[T] = Heap()
        self.work = 0.0
        self.size = 0

    def __repr__(self) -> str:
        return f"<Backlog {self.tenant}: {len(self.tickets)} waiting, counter {self.counter:g}, weight {self.weight}>"

    def due_before(self, due: float) -> float:
        """Seconds of work that are due before a newcomer; of many, all that waits: one by one would take too long."""
        if len(self.tickets) > COUNTED:
            return self.work
        return sum(ticket.work for ticket in takewhile(lambda ticket: ticket.due <= due, self.tickets))


class Lane(Generic[T]):
    """One class. `work` (seconds), `charge` (tokens) and `depth` are of all that waits in it."""

    __slots__ = ("_backlogs", "_resting", "_waiting", "charge", "depth", "floor", "weights", "work")

    def __init__(self) -> None:
        self._backlogs: dict[str, Backlog[T]] = {}
        self._waiting: Heap[Backlog[T]] = Heap()
        self._resting: Heap[Backlog[T]] = Heap()  # nothing waits, but they are ahead of the floor
        self._forget()

    def __repr__(self) -> str:
        return f"<Lane {self.depth} of {len(self._waiting)} tenants, {self.work:g} s, floor {self.floor:g}>"

    def __iter__(self) -> Iterator[T]:
        """Each tenant's first, in turn; behind them the rest of each, in turn. Ends with the first change."""
        yield from (backlog.tickets.first for backlog in self._waiting)
        for backlog in self._waiting:
            yield from islice(backlog.tickets, 1, None)

    @property
    def first(self) -> T:
        """Raises IndexError if nothing waits."""
        return self._waiting.first.tickets.first

    def held(self, tenant: str) -> tuple[int, int]:
        """Requests, and bytes, that wait for one tenant."""
        backlog = self._backlogs.get(tenant)
        return (len(backlog.tickets), backlog.size) if backlog else (0, 0)

    def add(self, ticket: T) -> None:
        backlog = self._backlogs.get(ticket.tenant)
        if backlog is None:
            backlog = self._backlogs[ticket.tenant] = Backlog(ticket.tenant, self.floor)
        if not backlog.tickets:
            self._activate(backlog)
        else:
            self.weights -= backlog.weight
        backlog.weight = ticket.weight
        self.weights += ticket.weight
        backlog.tickets.put(ticket, ticket.due)
        backlog.work += ticket.work
        backlog.size += ticket.size
        self.work += ticket.work
        self.charge += ticket.charge
        self.depth += 1

    def discard(self, ticket: T) -> bool:
        backlog = self._backlogs.get(ticket.tenant)
        if backlog is None or not backlog.tickets.discard(ticket):
            return False
        self._left(backlog, ticket)
        return True

    def take(self, ticket: T) -> None:
        """Raises KeyError if it doesn't wait here."""
        backlog = self._backlogs[ticket.tenant]
        if not backlog.tickets.discard(ticket):
            raise KeyError(ticket)
        self.floor = self._waiting.first.counter
        self._count(backlog, ticket.charge / backlog.weight)
        self._left(backlog, ticket)

    def settle(self, tenant: str, weight: int, difference: float) -> None:
        backlog = self._backlogs.get(tenant)
        if backlog is not None:
            self._count(backlog, difference / weight)
            self._prune()

    def ahead(self, tenant: str, weight: int, due: float) -> float:
        """Seconds of this class's work before a newcomer of this tenant; see `FairQueue.ahead`."""
        backlog = self._backlogs.get(tenant)
        if backlog is None:
            return 0.0
        own = backlog.due_before(due)
        others = self.others(tenant)
        lead = max(0.0, backlog.counter - self.floor) * (self.work / self.charge if self.charge else 0.0)
        return min(self.work, own + others * (lead + own / weight))

    def others(self, tenant: str) -> int:
        """Weights of the other tenants that have something waiting."""
        backlog = self._backlogs.get(tenant)
        return self.weights - (backlog.weight if backlog and backlog.tickets else 0)

    def shares(self) -> Iterator[tuple[str, int, float]]:
        """Of each tenant that is remembered: its name, how many wait, its counter."""
        return ((tenant, len(backlog.tickets), backlog.counter) for tenant, backlog in self._backlogs.items())

    def _activate(self, backlog: Backlog[T]) -> None:
        self._resting.discard(backlog)
        self._waiting.put(backlog, backlog.counter)

    def _count(self, backlog: Backlog[T], tokens: float) -> None:
        backlog.counter = max(backlog.least, backlog.counter + tokens)
        heap = self._waiting if backlog in self._waiting else self._resting
        heap.put(backlog, backlog.counter)

    def _left(self, backlog: Backlog[T], ticket: T) -> None:
        """Its ticket is gone, served or not."""
        self.depth -= 1
        if not self.depth:
            self._forget()  # nobody waits, so that nobody can have been passed by
            return
        self.work -= ticket.work
        self.charge -= ticket.charge
        backlog.work -= ticket.work
        backlog.size -= ticket.size
        if not backlog.tickets:
            backlog.work = 0.0  # what floats have left of it
            self.weights -= backlog.weight
            self._waiting.discard(backlog)
            self._resting.put(backlog, backlog.counter)
        self._prune()

    def _prune(self) -> None:
        """Who rests at the floor would begin there anyway."""
        resting = self._resting
        while resting and resting.first.counter <= self.floor:
            backlog = resting.first
            resting.discard(backlog)
            del self._backlogs[backlog.tenant]

    def _forget(self) -> None:
        self._backlogs.clear()
        self._waiting = Heap()
        self._resting = Heap()
        self.charge = self.work = self.floor = 0.0
        self.depth = self.weights = 0
