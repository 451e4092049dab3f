"""Who of a pool may be asked, what is charged, and that each change of state is told once."""

from __future__ import annotations

import pytest

from engines.api import Unreachable
from router.api import NoReplica
from tests.support.pools import WORK, Sent, Stage

GONE = Unreachable("no connection")


def test_a_call_is_charged_once_and_uncharged_once() -> None:
    stage = Stage(1)
    (replica,) = stage.replicas
    notes = stage.send()
    assert (replica.in_flight, replica.tokens, replica.calls) == (1, 100, 1)
    stage.answer(notes)
    stage.answer(notes)
    for _ in range(2):
        stage.end(notes, GONE)
    assert (replica.in_flight, replica.tokens, replica.calls) == (0, 0, 1)
    assert replica.failures.total() == 1


def test_a_call_that_was_never_sent_changes_nothing() -> None:
    stage = Stage(1)
    (replica,) = stage.replicas
    stray = Sent(replica)
    stage.answer(stray)
    stage.end(stray, GONE)
    assert (replica.tokens, replica.failures.total(), replica.breaker.streak) == (0, 0, 0)


def test_three_failures_in_a_row_take_a_replica_out() -> None:
    stage = Stage(3)
    broken, *others = stage.replicas
    stage.eject(broken, GONE)
    assert stage.picks() == set(others)
    assert [(c.replica, c.before, c.after, c.reason) for c in stage.changes] == [
        ("r0", "closed", "ejected", "3 failures in a row")
    ]


def test_who_was_asked_for_this_request_is_not_asked_again() -> None:
    stage = Stage(2)
    first, second = stage.replicas
    assert stage.pool.pick(WORK, [first]) is second
    with pytest.raises(NoReplica):
        stage.pool.pick(WORK, [first, second])
