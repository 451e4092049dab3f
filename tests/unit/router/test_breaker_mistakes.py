"""P09: one caller's mistakes are no failures of a replica, nor do they hide those that it has."""

from __future__ import annotations

from engines.api import Failed, Rejected
from tests.support.pools import Stage

BROKEN, MISTAKE = Failed("broken"), Rejected("too long")


def test_p09_mistakes_between_failures_in_a_row_do_not_interrupt_them() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    for _ in range(3):
        for _ in range(50):
            stage.call(replica, MISTAKE)
        stage.call(replica, BROKEN)
    assert stage.told(replica) == ["ejected"]


def test_p09_mistakes_are_no_good_calls_beside_those_that_fail() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    for _ in range(11):
        for _ in range(50):
            stage.call(replica, MISTAKE)
        stage.call(replica, BROKEN)
        stage.call(replica)
    assert stage.told(replica) == ["ejected"]


def test_p09_mistakes_alone_change_nothing() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    for _ in range(200):
        stage.call(replica, MISTAKE)
    assert (replica.breaker.state, replica.weight) == ("closed", 1.0)
