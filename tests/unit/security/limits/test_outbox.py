"""Messages are kept in order until they are confirmed, and no more of them than some."""

from __future__ import annotations

import pytest

from security.limits import outbox
from security.limits.outbox import Outbox
from security.limits.script import Call


def call(number: int) -> Call:
    return Call((str(number),), ())


def test_messages_stay_until_they_are_confirmed() -> None:
    box = Outbox()
    for number in range(5):
        box.add(call(number))
    first = box.oldest(3)
    assert list(first.values()) == [call(0), call(1), call(2)]
    assert box.oldest(3) == first
    box.confirm(first)
    box.confirm(first)
    assert list(box.oldest(9).values()) == [call(3), call(4)]
    assert repr(box) == "<Outbox 2 unconfirmed, 0 dropped>"


@pytest.mark.parametrize("beyond", [1, 1000])
def test_the_oldest_give_way_and_are_counted(beyond: int) -> None:
    box = Outbox()
    for number in range(outbox.KEPT + beyond):
        box.add(call(number))
    assert len(box) == outbox.KEPT
    assert box.dropped == beyond
    under_way = box.oldest(2)
    assert list(under_way.values()) == [call(beyond), call(beyond + 1)]
    box.add(call(-1))  # while they are on their way
    box.confirm(under_way)
    assert len(box) == outbox.KEPT - 1
