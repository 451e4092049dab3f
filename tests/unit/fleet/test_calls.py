"""The log of a simulated replica keeps the newest calls, and says so to whoever wants older ones."""

from __future__ import annotations

import pytest

from loadtests.fleet.calls import CallLog, Forgotten


def test_who_asks_for_calls_that_had_to_make_room_is_told() -> None:
    log = CallLog(bound=3)
    for _ in range(5):
        log.open("/v1/chat/completions", [], b"{}")
    assert [call.number for call in log] == [3, 4, 5]
    assert [call.number for call in log.since(2)] == [3, 4, 5]
    assert [call.number for call in log.since(4)] == [5]
    with pytest.raises(Forgotten, match="up to 2"):
        log.since(1)


def test_after_a_reset_nothing_is_missing() -> None:
    log = CallLog(bound=1)
    for _ in range(2):
        log.open("/v1/chat/completions", [], b"{}")
    log.reset()
    assert log.since(0) == []
    assert [log.open("/v1/chat/completions", [], b"{}").number] == [call.number for call in log.since(0)]
