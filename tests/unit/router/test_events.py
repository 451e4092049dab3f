"""Changes are numbered, counted and kept, the last of them."""

from __future__ import annotations

from router.events import MOST_COUNTS, Change, Events, ignore


def change(number: int) -> Change:
    return Change(float(number), f"r{number % 2}", "closed", "ejected", "3 failures in a row")


def test_they_are_told_from_a_number_on() -> None:
    events = Events()
    for number in range(1, 6):
        events.note(change(number))
    assert events.since(0) == [(number, change(number)) for number in range(1, 6)]
    assert events.since(3) == [(4, change(4)), (5, change(5))]
    assert events.since(events.last) == events.since(99) == []


def test_only_the_last_are_kept_and_all_are_counted() -> None:
    events = Events(bound=3)
    for number in range(1, 101):
        events.note(change(number))
    assert [number for number, _ in events.since(0)] == [98, 99, 100]
    assert events.counts == {("r0", "ejected"): 50, ("r1", "ejected"): 50}
    assert repr(events) == "<Events 100 so far, 3 kept>"


def test_names_that_come_and_go_do_not_grow_it_for_ever() -> None:
    events = Events()
    for number in range(MOST_COUNTS + 50):
        events.note(Change(float(number), f"r-10.0.0.{number}", "closed", "ejected", "3 failures in a row"))
    assert len(events.counts) == MOST_COUNTS
    assert events.counts["r-10.0.0.49", "ejected"] == 0
    assert events.counts["r-10.0.0.50", "ejected"] == 1


def test_none_at_first() -> None:
    events = Events()
    ignore(change(1))
    assert (events.last, events.since(0)) == (0, [])
