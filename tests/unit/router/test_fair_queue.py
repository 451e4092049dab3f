"""Whose turn it is: classes, tenants by weight, deadlines; and what leaves without having been served."""

from __future__ import annotations

from collections import Counter

import pytest

from router.fair_queue import Bounds, FairQueue
from tests.support.tickets import Ticket, filled, serve


def queue(*tickets: Ticket) -> FairQueue[Ticket]:
    return filled(FairQueue(Bounds()), *tickets)


def order(waiting: FairQueue[Ticket]) -> list[str]:
    """Tenants in the order in which they are served."""
    return [serve(waiting).tenant for _ in range(len(waiting))]


def test_a_higher_class_goes_first() -> None:
    batch, standard, critical = (Ticket(rank=rank) for rank in (2, 1, 0))
    assert list(queue(batch, standard, critical).heads()) == [critical, standard, batch]


def test_each_tenants_first_is_the_one_due_first_and_behind_all_firsts_come_the_others() -> None:
    late, soon, other = Ticket("a", due=9), Ticket("a", due=5), Ticket("b", due=7)
    assert list(queue(late, soon, other).heads()) == [soon, other, late]


def test_of_the_same_due_who_came_first_goes_first() -> None:
    tickets = [Ticket(due=5) for _ in range(5)]
    waiting = queue(*tickets)
    assert [serve(waiting) for _ in range(5)] == tickets


def test_tenants_take_turns_however_many_each_has_waiting() -> None:
    hog, other = [Ticket("hog") for _ in range(6)], [Ticket("other") for _ in range(2)]
    assert order(queue(*hog, *other)) == ["hog", "other", "hog", "other", "hog", "hog", "hog", "hog"]


def test_turns_are_counted_in_tokens_not_in_requests() -> None:
    long, short = [Ticket("long", charge=400) for _ in range(9)], [Ticket("short", charge=100) for _ in range(40)]
    waiting = queue(*long, *short)
    served = Counter(serve(waiting).tenant for _ in range(20))
    assert served == {"long": 4, "short": 16}


def test_shares_are_as_weights_over_a_long_backlog() -> None:
    waiting = queue(*(Ticket(f"w{weight}", weight, charge=50 + n % 7) for n in range(800) for weight in (1, 2, 4)))
    tokens: Counter[str] = Counter()
    for _ in range(1000):
        ticket = serve(waiting)
        tokens[ticket.tenant] += int(ticket.charge)
    total = tokens.total()
    for weight in (1, 2, 4):
        assert tokens[f"w{weight}"] / total == pytest.approx(weight / 7, rel=0.05)


def test_a_weight_may_change_and_the_latest_holds() -> None:
    waiting = queue(*(Ticket(tenant) for _ in range(300) for tenant in "ab"))
    waiting.add(Ticket("b", weight=3))
    served = Counter(serve(waiting).tenant for _ in range(200))
    assert served == {"a": 50, "b": 150}


def test_idle_time_saves_nothing_up() -> None:
    waiting = queue(*(Ticket("busy") for _ in range(100)))
    for _ in range(50):
        serve(waiting)
    filled(waiting, *(Ticket("idle") for _ in range(50)))
    assert Counter(serve(waiting).tenant for _ in range(20)) == {"busy": 10, "idle": 10}


def test_who_asks_seldom_does_not_stand_behind_a_whole_long_request_of_who_always_does() -> None:
    waiting = queue(*(Ticket("hog", charge=1000) for _ in range(10)))
    serve(waiting)
    for _ in range(5):
        waiting.add(Ticket("seldom", charge=100))
        assert serve(waiting).tenant == "seldom"


def test_going_away_between_requests_forgives_nothing_while_others_wait() -> None:
    waiting = queue(*(Ticket("steady") for _ in range(10)))
    waiting.add(Ticket("flighty", charge=300))
    assert [serve(waiting).tenant for _ in range(2)] == ["steady", "flighty"]
    waiting.add(Ticket("flighty", charge=300))
    assert order(waiting)[:3] == ["steady", "steady", "flighty"]


def test_counters_are_forgotten_once_nobody_waits() -> None:
    waiting = queue(Ticket("a", charge=1e6))
    serve(waiting)
    assert waiting.shares() == []
    filled(waiting, Ticket("a"), Ticket("b"))
    assert order(waiting) == ["a", "b"]


def test_who_has_nothing_waiting_is_forgotten_once_the_others_have_come_as_far() -> None:
    waiting = queue(*(Ticket("a") for _ in range(9)), Ticket("b", charge=250))
    serve(waiting), serve(waiting)
    assert ("b", 1, 0, 250.0) in waiting.shares()
    serve(waiting), serve(waiting), serve(waiting)
    assert [tenant for tenant, *_ in waiting.shares()] == ["a"]


def test_one_that_does_not_fit_may_be_passed_by_and_keeps_its_turn() -> None:
    big, small = Ticket("big"), [Ticket("small") for _ in range(3)]
    waiting = queue(big, *small)
    waiting.take(small[0])
    waiting.take(small[1])
    waiting.add(Ticket("new"))
    assert order(waiting) == ["big", "new", "small"]


def test_what_was_used_beyond_the_estimate_is_charged_when_it_is_known() -> None:
    waiting = queue(*(Ticket(tenant) for _ in range(400) for tenant in "ab"))
    served: Counter[str] = Counter()
    for _ in range(300):
        ticket = serve(waiting)
        served[ticket.tenant] += 1
        waiting.settle(ticket.tenant, 1, 1, 100.0 if ticket.tenant == "a" else 0.0)
    assert served == {"a": 100, "b": 200}


def test_what_was_not_used_is_given_back_by_weight() -> None:
    waiting = queue(*(Ticket("a", weight=2) for _ in range(9)), *(Ticket("b") for _ in range(9)))
    serve(waiting)
    waiting.settle("a", 1, 2, -60.0)
    assert waiting.shares() == [("a", 1, 8, 20.0), ("b", 1, 9, 0.0)]


def test_no_more_is_given_back_than_was_charged_since_counters_were_forgotten() -> None:
    waiting = queue(Ticket("a", charge=1e6))
    serve(waiting)
    filled(waiting, *(Ticket(tenant) for _ in range(2) for tenant in "ab"))
    serve(waiting)
    waiting.settle("a", 1, 1, -9e5)
    assert waiting.shares() == [("a", 1, 1, 0.0), ("b", 1, 2, 0.0)]


def test_settling_does_nothing_for_whom_no_counter_is_kept() -> None:
    waiting = queue(Ticket("a"))
    waiting.settle("b", 1, 1, 500.0)
    waiting.settle("a", 0, 1, 500.0)
    assert waiting.shares() == [("a", 1, 1, 0.0)]


def test_what_is_taken_must_wait() -> None:
    waiting = queue(Ticket("a"))
    for stranger in (Ticket("a"), Ticket("b")):
        with pytest.raises(KeyError):
            waiting.take(stranger)
    assert len(waiting) == 1


def test_who_gives_up_is_gone_at_once_and_charged_nothing() -> None:
    gone, rest = Ticket("a", work=3.0, size=7), Ticket("a", work=2.0, size=5)
    waiting = queue(gone, rest)
    assert waiting.discard(gone)
    assert not waiting.discard(gone)
    assert (len(waiting), waiting.size, waiting.depth(1), waiting.work(1)) == (1, 5, 1, 2.0)
    assert list(waiting.heads()) == [rest]
    assert waiting.shares() == [("a", 1, 1, 0.0)]


def test_what_is_due_is_taken_out_earliest_first() -> None:
    tickets = [Ticket(tenant, rank=rank, due=due) for tenant, rank, due in (("a", 0, 3), ("b", 2, 1), ("a", 1, 2))]
    waiting = queue(*tickets, Ticket("b", due=3.5))
    assert waiting.expire(0.9) == []
    assert waiting.expire(3.0) == [tickets[1], tickets[2], tickets[0]]
    assert len(waiting) == 1


def test_it_says_what_waits() -> None:
    waiting = queue(Ticket(rank=0), Ticket(rank=1), Ticket("b", rank=1, size=80))
    assert repr(waiting) == "<FairQueue 1+2+0 of 2000 waiting, 100 B>"
    assert waiting.shares() == [("a", 0, 1, 0.0), ("a", 1, 1, 0.0), ("b", 1, 1, 0.0)]
    assert [waiting.depth(rank) for rank in range(3)] == [1, 2, 0]
    assert [waiting.work(rank) for rank in range(3)] == [1.0, 2.0, 0.0]
