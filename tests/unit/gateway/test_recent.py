"""What ended last is found by its id, and what ended long ago makes room."""

from __future__ import annotations

from gateway.accounts import Record
from gateway.errors import BAD_KEY, NO_KEY
from gateway.recent import KEPT, Recent


def record(number: int, code: str = "") -> Record:
    made = Record(f"req_{number}", "", "chat", 0.0, 0)
    made.code = code
    return made


def test_the_last_ones_are_found_and_older_ones_forgotten() -> None:
    recent = Recent()
    kept = [record(number) for number in range(KEPT + 2)]
    recent.keep(kept[:3])
    recent.keep(kept[3:])
    assert [recent.find(f"req_{number}") for number in (0, 1, 2, KEPT + 1)] == [None, None, kept[2], kept[-1]]
    assert recent.find("") is None
    assert repr(recent) == f"<Recent {KEPT} of {KEPT}>"


def test_those_of_strangers_push_nothing_out() -> None:
    recent = Recent()
    asked = record(0)
    recent.keep([asked, *(record(number, NO_KEY.code) for number in range(1, KEPT + 2))])
    assert recent.find("req_0") is asked
    assert recent.find("req_1") is None
    recent.keep([record(-1, BAD_KEY.code)])
    assert recent.find("req_-1") is None
