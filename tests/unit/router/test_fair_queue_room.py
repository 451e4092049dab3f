"""What may wait, how much of it comes before a newcomer, and what the waiting costs."""

from __future__ import annotations

import math
import sys
import tracemalloc
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from router.fair_queue import Bounds, FairQueue
from tests.support.tickets import Ticket, filled, serve


def queue(*tickets: Ticket, bounds: Bounds | None = None) -> FairQueue[Ticket]:
    return filled(FairQueue(bounds or Bounds()), *tickets)


@pytest.mark.parametrize(
    ("bounds", "waits", "size", "full"),
    [
        (Bounds(requests=2, share=1.0), 1, 10, None),
        (Bounds(requests=2, share=1.0), 2, 10, "queue_full"),
        (Bounds(size=30, share=1.0), 2, 10, None),
        (Bounds(size=30, share=1.0), 2, 11, "queue_full"),
        (Bounds(requests=8), 1, 10, None),
        (Bounds(requests=8), 2, 10, "tenant_full"),
        (Bounds(size=100), 1, 15, None),
        (Bounds(size=100), 1, 16, "tenant_full"),
        (Bounds(requests=2), 0, 10, None),
        (Bounds(size=20), 0, 20, None),
        (Bounds(size=20), 0, 21, "queue_full"),
    ],
)
def test_it_has_room_within_its_bounds(bounds: Bounds, waits: int, size: int, full: str | None) -> None:
    waiting = queue(*(Ticket("a", rank=n % 3) for n in range(waits)), bounds=bounds)
    assert waiting.room("a", size) == full


def test_another_tenant_has_room_where_one_has_its_share() -> None:
    waiting = queue(Ticket("a"), Ticket("a"), bounds=Bounds(requests=8))
    assert waiting.room("a", 10) == "tenant_full"
    assert waiting.room("b", 10) is None


@pytest.mark.parametrize(("rank", "waits"), [(0, 100), (1, 95), (2, 85)])
def test_a_class_leaves_room_to_those_above_it(rank: int, waits: int) -> None:
    waiting = queue(*(Ticket("", rank=rank) for _ in range(waits - 1)), bounds=Bounds(requests=100))
    assert waiting.room("", 10, rank) is None
    waiting.add(Ticket("", rank=rank))
    assert waiting.room("", 10, rank) == "queue_full"
    assert rank == 0 or waiting.room("", 10, rank - 1) is None


def test_where_nobody_is_known_all_may_use_it_up() -> None:
    waiting = queue(*(Ticket("") for _ in range(7)), bounds=Bounds(requests=8))
    assert waiting.room("", 10) is None
    waiting.add(Ticket(""))
    assert waiting.room("", 10) == "queue_full"


def test_ahead_are_all_of_the_classes_above_and_nothing_of_those_below() -> None:
    waiting = queue(Ticket(rank=0, work=2.0), Ticket(rank=1, work=3.0), Ticket(rank=2, work=50.0))
    assert waiting.ahead(0, "new", 1) == 0.0
    assert waiting.ahead(1, "new", 1) == 2.0
    assert waiting.ahead(2, "new", 1) == 5.0


def test_one_tenants_backlog_is_nothing_to_another() -> None:
    waiting = queue(*(Ticket("hog") for _ in range(100)))
    assert waiting.ahead(1, "other", 1) == 0.0
    assert waiting.ahead(1, "hog", 1) == 100.0


def test_ahead_is_the_tenants_own_work_while_the_others_have_their_shares() -> None:
    waiting = queue(*(Ticket(tenant, weight) for _ in range(50) for tenant, weight in (("a", 1), ("b", 3))))
    filled(waiting, Ticket("c", weight=2), Ticket("c", weight=2))
    assert waiting.ahead(1, "c", 2) == 2 * (1 + 3 + 2) / 2
    assert waiting.ahead(1, "c", 1) == 2 * (1 + 3 + 1)  # its weight has changed
    assert waiting.ahead(1, "a", 1) == 102.0  # never more than waits


def test_ahead_counts_how_far_a_tenant_has_been_served_before_the_others() -> None:
    waiting = queue(*(Ticket("others", charge=10, work=0.1) for _ in range(100)), Ticket("long", charge=300, work=3.0))
    serve(waiting), serve(waiting)  # both once; the floor is where both began
    predicted = waiting.ahead(1, "long", 1)
    waiting.add(Ticket("long"))
    served = 0.0
    while (ticket := serve(waiting)).tenant != "long":
        served += ticket.work
    assert predicted == pytest.approx(3.0)
    assert served == pytest.approx(2.9)  # of which one was served before


def test_ten_thousand_take_little_memory() -> None:
    waiting = queue()
    tracemalloc.start()
    try:
        filled(waiting, *(Ticket(f"t{n % 500}", due=n * 0.1, charge=n * 0.3) for n in range(10_000)))
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken <= 10e6


def test_nothing_is_left_of_those_that_are_gone() -> None:
    waiting = queue(Ticket("stays", due=math.inf))
    tracemalloc.start()
    try:
        for n in range(20_000):
            ticket = Ticket(f"t{n}", due=n)
            waiting.add(ticket)
            if n % 3 == 0:
                waiting.discard(ticket)
            elif n % 3 == 1:
                waiting.expire(n)
            else:
                waiting.take(ticket)
                waiting.take(next(waiting.heads()))
                waiting.add(Ticket("stays", due=math.inf))
        left, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert len(waiting) == 1
    assert left <= 100e3


def steps(act: Callable[[], object]) -> int:
    """Lines of Python that this takes."""
    count = 0

    def trace(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal count
        count += event == "line"
        return trace

    before = sys.gettrace()
    sys.settrace(trace)
    try:
        act()
    finally:
        sys.settrace(before)
    return count


def live(waiting: FairQueue[Ticket]) -> None:
    """Some of everything that is done while requests come and go."""
    for n in range(20):
        newcomer = Ticket(f"t{n}", due=n)
        assert waiting.room(newcomer.tenant, newcomer.size) is None
        waiting.ahead(1, newcomer.tenant, 1)
        waiting.add(newcomer)
        serve(waiting)
        waiting.settle(newcomer.tenant, 1, 1, 5.0)
        other = Ticket(f"t{n + 30}", due=-n)
        waiting.add(other)
        waiting.add(Ticket(f"t{n + 60}", due=-1000))
        waiting.discard(other)
        waiting.expire(-1000)


def test_no_operation_looks_at_all_that_waits() -> None:
    few, many = (
        queue(*(Ticket(f"t{n}", due=n * 7919 % 1000) for n in range(count)), bounds=Bounds(20_000))
        for count in (100, 10_000)
    )
    assert steps(lambda: live(many)) < 3 * steps(lambda: live(few))


def test_what_one_more_takes_is_what_those_that_wait_take_and_what_others_get_meanwhile() -> None:
    queue: FairQueue[Ticket] = FairQueue(Bounds())
    assert queue.apiece(1, "a", 1) == 0.0, "nobody knows"
    filled(queue, Ticket("a", rank=1, work=2.0), Ticket("a", rank=1, work=4.0))
    assert queue.apiece(1, "a", 1) == 3.0
    assert queue.apiece(2, "a", 1) == 3.0, "as those of the other classes, where none of its own wait"
    filled(queue, Ticket("b", rank=1, work=6.0, weight=3))
    assert (queue.apiece(1, "a", 1), queue.apiece(1, "b", 3), queue.apiece(1, "c", 4)) == (16.0, 16 / 3, 8.0)
