"""P09, P47: callers' mistakes and push-back never trip a replica, failures do, and who comes back warms up."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from engines.api import EngineError, Failed, Interrupted, Overloaded, Rejected, TimedOut, Unreachable
from router.breaker import EJECTION, JITTER, LONGEST, Breaker, State
from tests.support.pools import Stage

BROKEN = Failed("broken")


def ejected_stage() -> Stage:
    stage = Stage(3)
    stage.eject(stage.replicas[0], BROKEN)
    return stage


def probing_stage() -> Stage:
    stage = ejected_stage()
    stage.rest(EJECTION * (1 + JITTER))
    return stage


@pytest.mark.parametrize(
    ("error", "state", "share"),
    [
        pytest.param(Rejected("400"), "closed", 1.0, id="400"),
        pytest.param(Rejected("404"), "closed", 1.0, id="404"),
        pytest.param(Rejected("413", kind="too_large"), "closed", 1.0, id="413"),
        pytest.param(Rejected("422"), "closed", 1.0, id="422"),
        pytest.param(Overloaded("429", retry_after=1), "closed", 0.05, id="429"),
        pytest.param(Overloaded("503"), "closed", 0.05, id="503-queue-full"),
        pytest.param(Failed("500"), "ejected", 0.01, id="500"),
        pytest.param(Unreachable("refused"), "ejected", 0.01, id="refused"),
        pytest.param(Failed("reset", died=True), "ejected", 0.01, id="reset"),
        pytest.param(TimedOut("connect", 5), "ejected", 0.01, id="connect-timeout"),
        pytest.param(TimedOut("first_token", 5), "ejected", 0.01, id="first-token-timeout"),
        pytest.param(TimedOut("total", 5), "closed", 1.0, id="total-timeout"),
        pytest.param(Interrupted("cut"), "ejected", 0.01, id="cut-stream"),
        pytest.param(Interrupted("silence", phase="inter_token"), "ejected", 0.01, id="stalled-stream"),
        pytest.param(Interrupted("the caller's own limit", phase="total"), "closed", 1.0, id="cut-by-its-deadline"),
        pytest.param(asyncio.CancelledError(), "closed", 1.0, id="client-left"),
        pytest.param(ValueError("ours"), "closed", 1.0, id="our-own-mistake"),
    ],
)
def test_p09_a_hundred_of_each(error: BaseException, state: State, share: float) -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    for _ in range(100):
        notes = stage.send(replica)
        if isinstance(error, Interrupted):
            stage.answer(notes)
        stage.end(notes, error)
    assert replica.breaker.state == state
    assert replica.weight == pytest.approx(share)
    assert stage.told(replica) == ([] if state == "closed" else [state])
    assert replica.failures.total() == (100 if isinstance(error, EngineError) else 0)


def test_p09_one_tenant_s_mistakes_leave_the_others_their_replicas() -> None:
    stage = Stage(2)
    for _ in range(200):
        stage.call(error=Rejected("too long"))
    assert stage.picks() == set(stage.replicas)
    assert not stage.pool.saturated


@pytest.mark.parametrize(("retry_after", "seconds"), [(None, 1.0), (0.0, 0.5), (2.0, 2.5), (3600.0, 5.5), (-1.0, 0.5)])
def test_p09_push_back_is_forgotten_soon_after_it_ends(retry_after: float | None, seconds: float) -> None:
    stage = Stage(1)
    (replica,) = stage.replicas
    for _ in range(100):
        stage.call(error=Overloaded("busy", retry_after))
    assert stage.pool.saturated
    assert stage.call() is replica, "it may be asked all the time"
    stage.rest(seconds)
    assert replica.weight == pytest.approx(1.0)
    assert not stage.pool.saturated


def test_p09_each_push_back_halves_the_share() -> None:
    stage = Stage(2)
    replica = stage.replicas[0]
    shares = []
    for _ in range(6):
        stage.call(replica, Overloaded("busy"))
        shares.append(replica.weight)
    assert shares == pytest.approx([0.5, 0.25, 0.125, 0.0625, 0.05, 0.05])
    assert not stage.pool.saturated, "the other one does not push back"


@pytest.mark.parametrize(("retry_after", "answers", "share"), [(None, 20, 1.0), (None, 19, 0.5), (1.0, 200, 0.5)])
def test_p09_a_rare_push_back_says_nothing_of_the_load(retry_after: float | None, answers: int, share: float) -> None:
    """One that answers nearly all is not choked for the few that it does not, unless it says for how long."""
    stage = Stage(1)
    (replica,) = stage.replicas
    for _ in range(answers):
        stage.call()
    stage.call(error=Overloaded("busy", retry_after))
    assert replica.weight == pytest.approx(share)
    stage.call(error=Overloaded("busy"))
    assert replica.weight == pytest.approx(share / 2), "the next one at once is no rare one"


def test_a_whole_answer_between_failures_starts_the_count_again() -> None:
    stage = Stage(2)
    replica = stage.replicas[0]
    for _ in range(4):
        stage.call(replica, BROKEN)
        stage.call(replica, BROKEN)
        stage.call(replica)
        stage.call(replica)
        stage.call(replica)
    assert replica.breaker.state == "closed"


def test_half_of_twenty_failing_ejects() -> None:
    stage = Stage(2)
    replica = stage.replicas[0]
    for call in range(10):
        assert replica.breaker.state == "closed", call
        stage.call(replica)
        stage.call(replica, BROKEN)
    assert stage.changes[-1].reason == "10 of 20 calls failed"


def test_failures_of_long_ago_do_not_count_into_the_rate() -> None:
    stage = Stage(2)
    replica = stage.replicas[0]
    for _ in range(30):
        stage.call(replica)
        stage.call(replica, BROKEN)
        stage.rest(1.5)
    assert replica.breaker.state == "closed"


def test_what_fails_fast_weighs_less_before_it_trips() -> None:
    stage = Stage(2)
    replica = stage.replicas[0]
    weights = []
    for _ in range(2):
        stage.call(replica, BROKEN)
        weights.append(replica.weight)
    assert weights == pytest.approx([0.95**2 / 4, 0.9**2 / 7])
    stage.call(replica)
    stage.rest(0.1)
    assert replica.weight == pytest.approx(0.9**2), "the rate is remembered"
    stage.rest(10)
    assert replica.weight == 1.0


def test_an_ejection_grows_is_jittered_and_capped() -> None:
    breaker, random, now = Breaker(), Random(3), 0.0
    spread = set()
    for number in range(1, 40):
        breaker.eject(now, random, "told so")
        lasts, plain = breaker.until - now, min(LONGEST, number * EJECTION)
        assert (1 - JITTER) * plain <= lasts <= (1 + JITTER) * plain
        spread.add(round(lasts / plain, 2))
    assert len(spread) > 10


def test_each_minute_closed_forgives_one_ejection() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    for _ in range(3):
        stage.eject(replica, BROKEN)
        stage.rest(replica.breaker.until - stage.now)
        stage.call(replica)
        stage.rest(30.1)
    assert (replica.breaker.state, replica.breaker.ejections) == ("closed", 3)
    stage.rest(125)
    stage.eject(replica, BROKEN)
    assert replica.breaker.ejections == 2


def test_p09_one_real_request_probes_and_its_content_brings_it_back() -> None:
    stage = probing_stage()
    replica, *others = stage.replicas
    probe = stage.send()
    assert probe.asked is replica
    assert stage.picks() == set(others), "one at a time"
    stage.answer(probe)
    stage.end(probe)
    assert stage.told(replica) == ["ejected", "probing", "slow_start"]


def test_p09_a_probe_that_fails_ejects_for_longer() -> None:
    stage = probing_stage()
    replica, *others = stage.replicas
    stage.call(error=BROKEN)
    assert stage.told(replica) == ["ejected", "probing", "ejected"]
    assert stage.picks() == set(others)
    assert replica.breaker.until - stage.now >= 2 * EJECTION * (1 - JITTER)


@pytest.mark.parametrize("left", [asyncio.CancelledError(), TimedOut("total", 1)], ids=["client left", "total"])
def test_a_probe_that_says_nothing_frees_its_place(left: BaseException) -> None:
    stage = probing_stage()
    replica = stage.replicas[0]
    assert stage.call(error=left) is replica
    assert replica.breaker.state == "probing"
    assert stage.send().asked is replica


def test_a_probe_that_is_pushed_back_is_followed_by_another_a_little_later() -> None:
    stage = probing_stage()
    replica, *others = stage.replicas
    assert stage.call(error=Overloaded("loading", 2.0)) is replica
    assert stage.picks() == set(others)
    stage.rest(2.1)
    assert stage.call(error=Rejected("too long")) is replica
    assert replica.breaker.state == "slow_start", "who finds a caller's mistake works"


def test_calls_from_before_an_ejection_say_nothing_afterwards() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    old = [stage.send(replica) for _ in range(10)]
    stage.rest(0.5)
    stage.eject(replica, BROKEN)
    stage.answer(old[0])
    assert replica.breaker.state == "ejected"
    stage.rest(EJECTION * (1 + JITTER))
    stage.call(replica)
    for notes in old[1:]:
        stage.end(notes, TimedOut("first_token", 10))
    assert stage.told(replica) == ["ejected", "probing", "slow_start"]


def test_two_failures_in_a_row_end_a_slow_start() -> None:
    stage = probing_stage()
    replica = stage.replicas[0]
    stage.call(replica)
    stage.call(replica, BROKEN)
    assert replica.breaker.state == "slow_start"
    stage.call(replica, BROKEN)
    assert stage.changes[-1].reason == "2 failures in a row"


def test_p47_the_share_climbs_from_a_tenth_to_all_in_thirty_seconds() -> None:
    stage = probing_stage()
    replica = stage.replicas[0]
    stage.call(replica)
    weights = [replica.weight]
    for _ in range(6):
        stage.rest(5)
        weights.append(replica.weight)
    assert weights == pytest.approx([0.1, 1 / 6, 1 / 3, 1 / 2, 2 / 3, 5 / 6, 1.0], abs=0.01)
    stage.rest(0.1)
    assert stage.told(replica) == ["ejected", "probing", "slow_start", "closed"]


def test_p47_an_only_replica_that_warms_up_has_all_its_limits() -> None:
    """There is nobody to leave the rest to: callers would be refused for as long as it warms up."""
    stage = Stage(1)
    (replica,) = stage.replicas
    stage.eject(replica, BROKEN)
    stage.rest(EJECTION * (1 + JITTER))
    stage.call()
    assert (replica.breaker.state, replica.weight) == ("slow_start", 0.1)
    assert replica.room == replica.limits.by_rank(1.0)
    stage.call(error=BROKEN)
    assert replica.room == replica.limits.by_rank(1.0)
    stage.call(error=Overloaded("busy", 1.0))
    assert replica.room == replica.limits.by_rank(0.5), "how busy it is holds, whoever else is there"


def test_p47_beside_a_well_one_it_has_its_share_of_them() -> None:
    stage = Stage(2)
    replica, other = stage.replicas
    stage.eject(replica, BROKEN)
    stage.rest(EJECTION * (1 + JITTER))
    stage.call(replica)
    assert replica.room == replica.limits.by_rank(0.1)
    assert other.room == other.limits.by_rank(1.0)


def test_its_repr_shows_its_state() -> None:
    replica = ejected_stage().replicas[0]
    assert repr(replica.breaker) == "<Breaker ejected, 3 failed in a row, <Outcomes 0 good, 3 bad>, ejected 1x>"
    assert repr(replica.breaker.push_back) == "<PushBack to 1.00 until 0.0>"


def test_streams_that_are_cut_are_forgiven_for_a_whole_one() -> None:
    stage = Stage(1)
    (replica,) = stage.replicas
    for _ in range(3):
        notes = stage.send()
        stage.answer(notes)
        stage.end(notes, Interrupted("cut"))
    stage.rest(1.5)
    notes = stage.send()
    stage.answer(notes)
    assert stage.told(replica) == ["ejected"]
    stage.end(notes)
    assert stage.told(replica) == ["ejected", "slow_start"]


def test_what_else_is_sent_meanwhile_does_not_take_the_probe_s_place() -> None:
    stage = probing_stage()
    replica = stage.replicas[0]
    probe = stage.send()
    stage.rest(0.1)
    stage.end(stage.send(replica), BROKEN)
    assert stage.told(replica) == ["ejected", "probing"]
    stage.end(probe, BROKEN)
    assert stage.told(replica) == ["ejected", "probing", "ejected"]


def test_restored_by_hand_its_ejections_are_forgotten() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    for _ in range(4):
        stage.eject(replica, BROKEN)
        stage.pool.restore(replica)
    stage.eject(replica, BROKEN)
    assert replica.breaker.until - stage.now <= EJECTION * (1 + JITTER)


def test_a_later_push_back_does_not_shorten_what_an_earlier_one_asked_for() -> None:
    stage = Stage(2)
    replica = stage.replicas[0]
    stage.call(replica, Overloaded("busy", 4.0))
    stage.call(replica, Overloaded("busy"))
    stage.rest(3.9)
    assert replica.weight == 0.25
    stage.rest(0.5)
    assert replica.weight == 1.0
