"""Who of a pool may be asked, what is charged, and that each change of state is told once."""

from __future__ import annotations

import pytest

from engines.api import Unreachable
from router.api import NO_AFFINITY, NoReplica
from router.breaker import LEAST
from tests.support.pools import Sent, Stage

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
    assert stage.pool.pick(NO_AFFINITY, [first]) is second
    with pytest.raises(NoReplica):
        stage.pool.pick(NO_AFFINITY, [first, second])


def test_a_pool_of_one_is_never_dark() -> None:
    stage = Stage(1)
    (replica,) = stage.replicas
    for _ in range(100):
        stage.call(error=GONE)
        stage.rest(0.5)
    assert stage.pool.panicking
    assert stage.call() is replica
    stage.rest(1.1)
    stage.call()
    assert stage.told(replica)[-1] == "slow_start"
    assert stage.told(replica).count("ejected") <= 4, "failures of calls that nobody chose do not lengthen it"
    assert not stage.pool.panicking


def test_what_fails_half_of_the_time_does_not_flap() -> None:
    stage = Stage(1)
    for call in range(200):
        stage.call(error=GONE if call % 4 else None)
        stage.rest(0.02)
    assert len(stage.changes) <= 2 * (200 * 0.02) + 1


def test_one_of_two_ejected_is_no_panic() -> None:
    stage = Stage(2)
    broken, other = stage.replicas
    stage.eject(broken, GONE)
    assert not stage.pool.panicking
    assert stage.picks() == {other}


def test_more_than_half_ejected_is_a_panic_in_which_those_that_work_get_most() -> None:
    stage = Stage(3)
    *broken, working = stage.replicas
    for replica in broken:
        stage.eject(replica, GONE)
    assert stage.pool.panicking
    assert stage.picks() == set(stage.replicas)
    assert working.weight == 1.0
    assert all(0.05 <= replica.weight < 0.15 for replica in broken)
    stage.eject(working, GONE)
    assert [replica.weight for replica in stage.replicas] == pytest.approx([1.0] * 3, abs=0.01)


def test_in_a_panic_those_that_go_on_failing_get_enough_to_notice_that_they_are_back() -> None:
    stage = Stage(3)
    for _ in range(30):
        for replica in stage.replicas[:2]:
            stage.call(replica, GONE)
    assert [replica.weight for replica in stage.replicas] == [0.05, 0.05, 1.0]


def test_all_that_are_out_come_back_at_their_first_answers() -> None:
    stage = Stage(3)
    for replica in stage.replicas:
        stage.eject(replica, GONE)
    for _ in range(60):
        stage.call(error=GONE)
        stage.rest(0.5)
    back = stage.now
    while any(replica.breaker.out for replica in stage.replicas):
        stage.call()
        stage.rest(0.02)
    assert stage.now - back <= 2


def test_a_replica_that_is_not_ready_is_asked_only_if_nobody_is() -> None:
    stage = Stage(3)
    loading, *others = stage.replicas
    loading.verdict = "loading"
    for other in others:
        other.verdict = ""
    stage.rest(0.1)
    assert stage.picks() == set(others)
    for other in others:
        other.verdict = "the probe failed"
    stage.rest(0.1)
    assert stage.pool.panicking
    assert stage.picks() == set(stage.replicas)


def test_one_that_answers_is_not_hung_whatever_a_probe_says() -> None:
    stage = Stage(2)
    doubted, other = stage.replicas
    under_way = [stage.send(doubted) for _ in range(2)]
    stage.call(doubted)
    stage.rest(0.1)
    doubted.verdict = "no answer to a probe within 5 s"
    stage.rest(0.1)
    assert stage.picks() == {other}, "what it answered before says nothing"
    stage.answer(under_way[0])
    stage.rest(0.1)
    assert stage.picks() == {doubted, other}
    stage.rest(11)
    assert stage.picks() == {other}, "nor does an answer of long ago"
    doubted.verdict = ""
    stage.rest(0.1)
    stage.call(doubted)
    doubted.verdict = "draining"
    stage.rest(0.1)
    assert stage.picks() == {other}


def test_draining_replicas_are_never_asked() -> None:
    stage = Stage(3)
    gone, broken, other = stage.replicas
    gone.draining = True
    stage.eject(broken, GONE)
    stage.rest(0.1)
    assert (stage.picks(), stage.pool.panicking) == ({other}, False), "it counts for nothing in what is half"
    other.draining = True
    stage.rest(0.1)
    assert (stage.picks(), stage.pool.panicking) == ({broken}, True)
    broken.draining = True
    stage.rest(0.1)
    with pytest.raises(NoReplica):
        stage.pool.pick(NO_AFFINITY)
    assert not stage.pool.saturated


def test_what_a_person_has_ejected_stays_out_whatever_it_answers() -> None:
    stage = Stage(1)
    (replica,) = stage.replicas
    under_way = stage.send()
    stage.pool.eject(replica, None)
    with pytest.raises(NoReplica):
        stage.pool.pick(NO_AFFINITY)
    stage.rest(600)
    stage.answer(under_way)
    stage.end(under_way)
    assert stage.told(replica) == ["ejected"]
    stage.pool.restore(replica)
    assert stage.told(replica) == ["ejected", "closed"]
    assert stage.call() is replica
    assert [change.reason for change in stage.changes] == ["by hand", "by hand"]


def test_ejected_by_hand_for_a_while_it_is_probed_afterwards() -> None:
    stage = Stage(2)
    replica = stage.replicas[0]
    stage.pool.eject(replica, 3.0)
    stage.pool.eject(replica, 5.0)
    stage.rest(4.9)
    assert stage.told(replica) == ["ejected"]
    stage.rest(0.2)
    assert stage.call() is replica
    assert stage.told(replica) == ["ejected", "probing", "slow_start"]


def test_restored_by_hand_what_had_failed_warms_up() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    stage.eject(replica, GONE)
    stage.pool.restore(replica)
    stage.pool.restore(replica)
    stage.pool.restore(replica)
    assert stage.told(replica) == ["ejected", "slow_start", "closed"]


def test_a_probe_is_a_request_s_last_resort_if_it_has_failed_before() -> None:
    stage = Stage(2)
    broken, other = stage.replicas
    stage.eject(broken, GONE)
    stage.rest(12.1)
    assert stage.send(asked=[other]).asked is broken
    with pytest.raises(NoReplica):
        stage.pool.pick(NO_AFFINITY, [other])
    assert stage.send(asked=[broken]).asked is other


def test_replicas_are_exchanged_under_their_calls() -> None:
    stage, spare = Stage(2), Stage(1).replicas
    old = stage.replicas
    under_way = [stage.send(replica) for replica in old]
    stage.pool.replace([old[1], *spare])
    assert stage.picks() == {old[1], *spare}
    for notes in under_way:
        stage.answer(notes)
        stage.end(notes)
    assert [replica.in_flight for replica in old] == [0, 0]
    stage.pool.replace([])
    with pytest.raises(NoReplica):
        stage.pool.pick(NO_AFFINITY)


def test_its_repr_shows_who_may_be_asked() -> None:
    stage = Stage(3)
    stage.eject(stage.replicas[0], GONE)
    assert repr(stage.pool) == "<Pool m: 2 of 3 replicas may be asked>"
    stage.eject(stage.replicas[1], GONE)
    assert repr(stage.pool) == "<Pool m: 3 of 3 replicas may be asked, panicking>"


def test_what_probes_said_of_a_replica_is_kept_as_long_as_it_is() -> None:
    stage = Stage(2)
    doubted = stage.replicas[0]
    for replica in stage.replicas:
        replica.verdict = "draining"
    stage.rest(0.1)
    stage.pool.replace([doubted])
    assert stage.pool._standing._doubted == {doubted: stage.now}


@pytest.mark.parametrize(("replicas", "share"), [(1, 1.0), (2, LEAST), (3, LEAST)])
def test_one_that_is_probed_has_next_to_no_share_unless_it_is_all_that_there_is(replicas: int, share: float) -> None:
    stage = Stage(replicas)
    broken = stage.replicas[0]
    stage.eject(broken, GONE)
    while broken.breaker.state == "ejected":
        stage.rest(1.0)
    assert (broken.breaker.state, broken.weight) == ("probing", share)
    assert stage.pool.panicking == (replicas == 1)
