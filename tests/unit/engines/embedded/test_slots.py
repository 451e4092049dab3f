"""The embedded model's slots: never more than there are, and every one comes back once."""

from __future__ import annotations

import pytest

from engines.api import Overloaded
from engines.embedded.slots import Slots


def test_no_more_are_held_than_there_are_and_one_more_is_refused_at_once() -> None:
    slots = Slots(2)
    one, _other = slots.take(), slots.take()
    with pytest.raises(Overloaded) as refused:
        slots.take()
    assert refused.value.retry_safe
    assert repr(slots) == "<Slots 2/2 held>"
    one.release()
    slots.take()
    assert slots.held == 2


def test_releasing_twice_frees_one_slot() -> None:
    slots = Slots(2)
    one, other = slots.take(), slots.take()
    one.release()
    one.release()
    assert slots.held == 1
    assert (repr(one), repr(other)) == ("<Slot released>", "<Slot held>")
