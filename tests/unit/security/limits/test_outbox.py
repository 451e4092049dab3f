"""Messages are kept in order until they are confirmed, each on its way once, and no more of them than some."""

from __future__ import annotations

import pytest

from security.limits import outbox
from security.limits.outbox import Outbox
from security.limits.script import Call


def call(number: int) -> Call:
    return Call((str(number),), ())


def filled(count: int) -> Outbox:
    box = Outbox()
    for number in range(count):
        box.add(call(number))
    return box


def test_messages_on_their_way_are_nobody_elses() -> None:
    box = filled(5)
    first = box.take(3)
    assert list(first.values()) == [call(0), call(1), call(2)]
    assert repr(box) == "<Outbox 2 waiting, 3 under way, 0 dropped>"
    second = box.take(3)
    assert list(second.values()) == [call(3), call(4)]
    assert box.take(3) == {}
    for _ in range(2):
        box.confirm(first)
        box.confirm(second)
    assert len(box) == 0


def test_what_is_put_back_comes_first_in_its_order() -> None:
    box = filled(6)
    first, second = box.take(2), box.take(2)
    for numbers in (second, first, first):
        box.put_back(numbers)
    assert list(box.take(9).values()) == [call(number) for number in range(6)]


def test_what_is_confirmed_is_not_put_back() -> None:
    box = filled(2)
    taken = box.take(2)
    box.confirm([0])
    box.put_back(taken)
    assert list(box.take(2).values()) == [call(1)]


@pytest.mark.parametrize("beyond", [1, 1000])
def test_the_oldest_give_way_and_are_counted(beyond: int) -> None:
    box = filled(outbox.KEPT + beyond)
    assert len(box) == outbox.KEPT
    assert box.dropped == beyond
    under_way = box.take(2)
    assert list(under_way.values()) == [call(beyond), call(beyond + 1)]
    for number in range(2):
        box.add(call(-number))
    box.put_back(under_way)
    assert len(box) == outbox.KEPT
    assert box.dropped == beyond + 2
    assert list(box.take(1).values()) == [call(beyond + 2)]
