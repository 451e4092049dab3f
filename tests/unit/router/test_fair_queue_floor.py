"""Classes are strict, but the standard one has a floor while it waits behind the critical one."""

from __future__ import annotations

import pytest

from router.fair_queue import FLOOR, SAVED, Bounds, FairQueue
from tests.support.tickets import Ticket, filled, serve


def queue(*tickets: Ticket) -> FairQueue[Ticket]:
    return filled(FairQueue(Bounds()), *tickets)


def served_while(waiting: FairQueue[Ticket], rounds: int, critical: float, standard: float) -> list[float]:
    """Work that is served of both classes while neither ever stops waiting, per request so much."""
    work = [0.0, 0.0]
    for _ in range(rounds):
        filled(waiting, Ticket(rank=0, work=critical), Ticket(rank=1, work=standard))
        ticket = serve(waiting)
        work[ticket.rank] += ticket.work
    return work


@pytest.mark.parametrize(("critical", "standard"), [(1.0, 1.0), (0.01, 0.3), (3.0, 0.1), (1.0, 10 * SAVED)])
def test_the_standard_class_gets_its_floor_while_it_waits(critical: float, standard: float) -> None:
    above, below = served_while(queue(), 3000, critical, standard)
    floor = FLOOR * (above + below)
    assert floor - standard - 0.2 <= below <= floor + 0.01


def test_a_floor_is_no_claim_to_a_burst() -> None:
    waiting = queue(*(Ticket(rank=0, work=5.0) for _ in range(200)), *(Ticket(work=0.5) for _ in range(100)))
    for _ in range(100):  # what the standard class has waiting doesn't fit meanwhile
        waiting.take(next(ticket for ticket in waiting.heads() if ticket.rank == 0))
    burst = int(SAVED / 0.5)
    assert [serve(waiting).rank for _ in range(burst + 1)] == [1] * burst + [0]


def test_only_one_of_the_standard_class_goes_before_the_critical_ones() -> None:
    waiting = queue(*(Ticket(rank=0, work=20.0) for _ in range(3)), Ticket("a"), Ticket("b"))
    serve(waiting)
    assert [ticket.rank for ticket in waiting.heads()] == [1, 0, 0, 1]


def test_no_claim_outlasts_the_wait() -> None:
    waiting = queue(*(Ticket(rank=0, work=100.0) for _ in range(3)), Ticket())
    serve(waiting)
    waiting.discard(next(ticket for ticket in waiting.heads() if ticket.rank == 1))
    waiting.add(Ticket())
    assert next(waiting.heads()).rank == 0


def test_the_batch_class_gets_what_is_left() -> None:
    waiting = queue(*(Ticket(rank=rank) for rank in (2, 1, 0) for _ in range(30)))
    assert [serve(waiting).rank for _ in range(90)][60:] == [2] * 30
