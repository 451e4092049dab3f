"""Each change of what is thought of a replica is one line of the log and one count."""

from __future__ import annotations

import logging

import pytest

from gateway.replica_changes import teller
from router.breaker import State
from router.events import Change, Events

REASON = "3 failures in a row"


def test_each_change_is_said_and_counted_once(caplog: pytest.LogCaptureFixture) -> None:
    events = Events()
    tell = teller(events)
    with caplog.at_level(logging.INFO, "snowshed"):
        tell(Change(1.0, "a-0", "closed", "ejected", REASON))
        tell(Change(12.0, "a-0", "ejected", "probing", "ejected for 11.0 s"))
    first, second = caplog.records
    assert first.getMessage() == second.getMessage() == "replica state"
    said = {name: vars(first)[name] for name in ("replica", "before", "after", "reason")}
    assert said == {"replica": "a-0", "before": "closed", "after": "ejected", "reason": REASON}
    assert events.counts == {("a-0", "ejected"): 1, ("a-0", "probing"): 1}
    assert [change.reason for _, change in events.since(0)] == [REASON, "ejected for 11.0 s"]


@pytest.mark.parametrize(
    ("after", "level"),
    [("suspect", "WARNING"), ("ejected", "WARNING"), ("probing", "INFO"), ("slow_start", "INFO"), ("closed", "INFO")],
)
def test_a_change_for_the_worse_is_a_warning(after: State, level: str, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.INFO, "snowshed"):
        teller(Events())(Change(1.0, "a-0", "closed", after, REASON))
    assert [record.levelname for record in caplog.records] == [level]
