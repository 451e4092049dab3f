"""Whatever comes, goes and is served in whatever order: none is lost, and what the queue says is true.

That this would notice is shown on queues with a mistake each.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule, run_state_machine_as_test

from router.fair_queue import RANKS, Bounds, FairQueue, Full
from router.lanes import Lane
from tests.support.tickets import Ticket, serve

Make = Callable[[], FairQueue[Ticket]]

BOUNDS = Bounds(requests=12, size=300, share=0.4)
"""Few enough to be reached."""

tenants = st.sampled_from("abc")
ranks = st.integers(0, len(RANKS) - 1)
weights = st.integers(1, 4)
amounts = st.integers(0, 1000)
number = st.integers(0, 99)


def sound() -> FairQueue[Ticket]:
    return FairQueue(BOUNDS)


class Life(RuleBasedStateMachine):
    """The queue beside a plain list of what must wait in it, in the order in which it came."""

    def __init__(self, make: Make = sound) -> None:
        super().__init__()
        self.queue = make()
        self.waiting: list[Ticket] = []
        self.gone: list[Ticket] = []
        self.now = 0.0

    def full(self, tenant: str, size: int) -> Full | None:
        own = [ticket.size for ticket in self.waiting if ticket.tenant == tenant]
        if len(self.waiting) == BOUNDS.requests or sum(each.size for each in self.waiting) + size > BOUNDS.size:
            return "queue_full"
        if own and (len(own) + 1 > BOUNDS.requests * BOUNDS.share or sum(own) + size > BOUNDS.size * BOUNDS.share):
            return "tenant_full"
        return None

    def leaves(self, ticket: Ticket) -> None:
        assert ticket in self.waiting
        self.waiting.remove(ticket)
        self.gone.append(ticket)

    @rule(tenant=tenants, rank=ranks, weight=weights, later=st.integers(0, 9), amount=amounts, size=number)
    def add(self, tenant: str, rank: int, weight: int, later: int, amount: int, size: int) -> None:
        full = self.queue.room(tenant, size)
        assert full == self.full(tenant, size)
        if full is None:
            ticket = Ticket(tenant, weight, rank, self.now + later, amount, amount / 128, size)
            self.queue.add(ticket)
            self.waiting.append(ticket)

    @precondition(lambda self: self.waiting or self.gone)
    @rule(which=number)
    def discard(self, which: int) -> None:
        tickets = self.waiting + self.gone[-5:]
        ticket = tickets[which % len(tickets)]
        assert self.queue.discard(ticket) == (ticket in self.waiting)
        if ticket in self.waiting:
            self.leaves(ticket)

    @precondition(lambda self: self.waiting)
    @rule(which=st.just(0) | number)
    def serve(self, which: int) -> None:
        heads = list(self.queue.heads())
        ticket = heads[which % len(heads)]
        self.queue.take(ticket)
        self.leaves(ticket)

    @precondition(lambda self: self.waiting)
    @rule(which=number)
    def serve_any(self, which: int) -> None:
        ticket = self.waiting[which % len(self.waiting)]
        self.queue.take(ticket)
        self.leaves(ticket)

    @rule(seconds=st.integers(0, 3))
    def expire(self, seconds: int) -> None:
        self.now += seconds
        due = sorted((ticket for ticket in self.waiting if ticket.due <= self.now), key=lambda ticket: ticket.due)
        assert self.queue.expire(self.now) == due
        for ticket in due:
            self.leaves(ticket)

    @rule(tenant=tenants, rank=ranks, weight=weights, difference=st.integers(-1000, 1000))
    def settle(self, tenant: str, rank: int, weight: int, difference: int) -> None:
        self.queue.settle(tenant, rank, weight, difference)

    @invariant()
    def sums_agree(self) -> None:
        queue, waiting = self.queue, self.waiting
        assert len(queue) == len(waiting) <= BOUNDS.requests
        assert queue.size == sum(ticket.size for ticket in waiting) <= BOUNDS.size
        for rank in range(len(RANKS)):
            assert queue.depth(rank) == sum(ticket.rank == rank for ticket in waiting)
            assert queue.work(rank) == sum(ticket.work for ticket in waiting if ticket.rank == rank)

    @invariant()
    def each_tenants_head_is_the_one_due_first(self) -> None:
        heads = list(self.queue.heads())
        firsts: dict[tuple[int, str], Ticket] = {}
        for ticket in sorted(self.waiting, key=lambda ticket: ticket.due):
            firsts.setdefault((ticket.rank, ticket.tenant), ticket)
        assert len(heads) == len(set(heads)) == len(self.waiting)
        order = [ticket.rank for ticket in heads]
        early = order[:1] == [1] and self.queue.depth(0) > 0
        for rank in range(len(RANKS)):
            of_class = [ticket for ticket in heads[early:] if ticket.rank == rank]
            leading = {ticket for ticket in firsts.values() if ticket.rank == rank} - set(heads[:early])
            assert set(of_class[: len(leading)]) == leading
        assert order == sorted(order) or order[:1] + sorted(order[1:]) == [1, *order[1:]]

    @invariant()
    def shares_tell_of_all_that_wait(self) -> None:
        told = {(tenant, rank): queued for tenant, rank, queued, _ in self.queue.shares()}
        for ticket in self.waiting:
            told[ticket.tenant, ticket.rank] -= 1
        assert not any(told.values())

    @invariant()
    def ahead_is_no_more_than_waits(self) -> None:
        for rank in range(len(RANKS)):
            above = sum(self.queue.work(higher) for higher in range(rank))
            assert above <= self.queue.ahead(rank, "a", 2) <= above + self.queue.work(rank)

    def teardown(self) -> None:
        while self.waiting:
            self.leaves(serve(self.queue))
        assert len(self.queue) == 0
        assert not list(self.queue.heads())
        assert not self.queue.shares()


def none_is_lost(make: Make, tried: settings) -> None:
    class Made(Life):
        def __init__(self) -> None:
            super().__init__(make)

    run_state_machine_as_test(Made, settings=tried)


def test_none_is_lost_and_sums_agree() -> None:
    none_is_lost(sound, settings())


class WithoutDues(Lane[Ticket]):
    """Who came last goes first."""

    def add(self, ticket: Ticket) -> None:
        super().add(ticket)
        self._backlogs[ticket.tenant].tickets.put(ticket, -self.depth)


class StillCounts(Lane[Ticket]):
    """Who has gone is still work that waits."""

    def discard(self, ticket: Ticket) -> bool:
        there = super().discard(ticket)
        self.work += ticket.work if there and self.depth else 0.0
        return there


class StillThere(FairQueue[Ticket]):
    """Who has gone is served all the same."""

    def discard(self, ticket: Ticket) -> bool:
        self.size -= ticket.size if ticket in self._dues else 0
        return self._dues.discard(ticket)


class WithoutBytes(FairQueue[Ticket]):
    """Bodies take no room."""

    def room(self, tenant: str, size: int, rank: int = 0) -> Full | None:
        return super().room(tenant, 0, rank)


def laned(lane: type[Lane[Ticket]]) -> FairQueue[Ticket]:
    queue = sound()
    queue._lanes = tuple(lane() for _ in RANKS)
    return queue


@pytest.mark.parametrize(
    "broken",
    [
        partial(laned, WithoutDues),
        partial(laned, StillCounts),
        partial(StillThere, BOUNDS),
        partial(WithoutBytes, BOUNDS),
    ],
    ids=["no dues", "still counts", "still there", "no bytes"],
)
def test_a_mistake_would_be_caught(broken: Make) -> None:
    tried = settings(
        phases=[Phase.generate], max_examples=2000, report_multiple_bugs=False, suppress_health_check=list(HealthCheck)
    )
    with pytest.raises(AssertionError):
        none_is_lost(broken, tried)
