"""What ended last is found by its id, and what ended long ago makes room."""

from __future__ import annotations

from gateway.accounts import Record
from gateway.recent import KEPT, Recent


def record(number: int) -> Record:
    return Record(f"req_{number}", "", "chat", 0.0, 0)


def test_the_last_ones_are_found_and_older_ones_forgotten() -> None:
    recent = Recent()
    kept = [record(number) for number in range(KEPT + 2)]
    recent.keep(kept[:3])
    recent.keep(kept[3:])
    assert [recent.find(f"req_{number}") for number in (0, 1, 2, KEPT + 1)] == [None, None, kept[2], kept[-1]]
    assert recent.find("") is None
    assert repr(recent) == f"<Recent {KEPT} of {KEPT}>"
