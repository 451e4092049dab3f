"""When another model may answer instead, and when not."""

from __future__ import annotations

import pytest

from engines.api import Failed, Interrupted, Overloaded, Rejected, TimedOut, Unreachable
from router.api import NoReplica, Quarantined, Shed
from router.model import Trouble, trouble_of


def poisonous(error: Failed) -> Failed:
    """As it is told once two servers have died."""
    error.poison = True
    return error


@pytest.mark.parametrize(
    ("error", "trouble"),
    [
        (Unreachable("x"), "outage"),
        (Failed("x"), "outage"),
        (TimedOut("connect", 1), "outage"),
        (TimedOut("first_token", 1), "outage"),
        (NoReplica(), "outage"),
        (Overloaded("x"), "overload"),
        (Shed("queue_full", 1.0), "overload"),
        (Rejected("x", code="context_length_exceeded"), "context_length"),
        (Rejected("x"), None),
        (TimedOut("total", 1), None),
        (poisonous(Failed("x", died=True)), None),
        (Quarantined("chat", 9.0), None),
        (Interrupted("x"), None),
        (ZeroDivisionError(), None),
    ],
)
def test_what_an_error_says_of_the_model(error: Exception, trouble: Trouble | None) -> None:
    assert trouble_of(error) == trouble
