"""P07, P13: a replica that takes calls and says nothing is found out, and so is a slow one, but none that works."""

from __future__ import annotations

import pytest

from engines.api import Capacity, Failed, TimedOut
from router.api import NO_AFFINITY, Replica
from router.judging import WAITING
from router.limits import Limits
from tests.support.gates import Noted
from tests.support.pools import TOKENS, Sent, Stage


def a_second_of_work(stage: Stage, *replicas: Replica) -> None:
    """Calls that are answered at once, ten a second on each."""
    for _ in range(10):
        for replica in replicas:
            stage.call(replica)
        stage.rest(0.1)


def hung(stage: Stage, count: int = 3) -> list[Sent]:
    """Calls on the first replica that nothing comes of."""
    return [stage.send(stage.replicas[0]) for _ in range(count)]


def test_p07_three_silent_calls_are_a_stall_after_two_seconds() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    hung(stage)
    a_second_of_work(stage, *others)
    assert not stage.changes
    a_second_of_work(stage, *others)
    a_second_of_work(stage, *others)
    assert stage.told(replica) == ["ejected"]
    assert stage.changes[0].reason in ("stalled for 2.0 s", "stalled for 2.1 s")
    assert stage.changes[0].at == pytest.approx(stage.now - 1, abs=0.11)


def test_p07_streams_that_stop_are_a_stall_too() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    streams = hung(stage)
    for notes in streams:
        stage.answer(notes)
    for _ in range(5):
        a_second_of_work(stage, *others)
        for notes in streams[:1]:  # one that is alive is enough
            notes.last_at = stage.now
    assert not stage.changes
    for _ in range(3):
        a_second_of_work(stage, *others)
    assert stage.told(replica) == ["ejected"]
    assert stage.changes[0].reason in ("stalled for 2.0 s", "stalled for 2.1 s"), "since it last said something"


def known(stage: Stage) -> None:
    """How much each works on at a time."""
    stage.pool.capacity = Capacity(requests=8)
    stage.pool.replace(stage.replicas)


def test_nobody_is_sent_behind_a_hard_call_where_it_is_not_known_how_much_is_worked_on_at_a_time() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    hung(stage, 2)
    for _ in range(50):
        stage.call(others[0])
        stage.rest(0.1)
    assert stage.send().asked is not replica
    assert not stage.changes


@pytest.mark.parametrize("count", [1, 2])
def test_p07_few_silent_calls_get_company_by_which_to_tell(count: int) -> None:
    stage = Stage(3)
    known(stage)
    replica, *others = stage.replicas
    hung(stage, count)
    for _ in range(21):
        stage.call(others[0])
        stage.rest(0.1)
    company = [stage.send() for _ in range(WAITING - count)]
    assert {notes.asked for notes in company} == {replica}
    assert stage.send().asked is not replica
    stage.rest(0.2)
    assert not stage.changes, "they have not had their time"
    stage.rest(0.1)
    assert stage.told(replica) == ["ejected"]


@pytest.mark.parametrize("whole", [False, True])
def test_one_hard_call_is_no_stall_where_others_are_answered_beside_it(whole: bool) -> None:
    stage = Stage(3)
    known(stage)
    replica, *others = stage.replicas
    stage.call(others[0])
    stage.send(replica, whole=whole)
    for _ in range(140):
        stage.call(stage.send().asked)
        stage.rest(0.1)
    assert not stage.changes
    assert replica.calls > 2


def test_a_replica_without_room_for_company_is_waited_for() -> None:
    stage = Stage(2)
    known(stage)
    replica, other = stage.replicas
    hung(stage, 1)
    for _ in range(30):
        stage.call(other)
        stage.rest(0.1)
    replica.room = Limits(requests=1).by_rank(1.0)
    assert stage.pool.place(Noted(), NO_AFFINITY) is other
    assert not stage.changes


def test_a_long_prompt_takes_its_time() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    for notes in hung(stage):
        notes.prompt = 40_000  # 4.8 s
        replica.prompts += 40_000 - TOKENS
    for _ in range(6):
        a_second_of_work(stage, *others)
    assert not stage.changes
    a_second_of_work(stage, *others)
    assert stage.told(replica) == ["ejected"]


@pytest.mark.parametrize("pause", [0.0, 0.4], ids=["one after the other", "with pauses"])
def test_two_seconds_of_connecting_in_vain_are_a_stall(pause: float) -> None:
    """Such calls end before they could be silent for long, and as busy as they look there are few of them."""
    stage = Stage(3)
    replica, *others = stage.replicas
    for _ in range(2):
        assert not stage.changes
        (notes,) = hung(stage, 1)
        a_second_of_work(stage, *others)
        stage.end(notes, TimedOut("connect", 1))
        stage.rest(pause)
    a_second_of_work(stage, *others)
    assert stage.told(replica) == ["ejected"]
    assert stage.changes[0].reason == "stalled for 2.0 s"


def test_connecting_in_vain_is_forgiven_with_an_answer() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    for _ in range(4):
        (notes,) = hung(stage, 1)
        a_second_of_work(stage, *others)
        stage.end(notes, TimedOut("connect", 1))
        stage.call(replica)
    assert not stage.changes


def test_nobody_is_silent_who_has_nothing_to_say() -> None:
    stage = Stage(3)
    for _ in range(5):
        a_second_of_work(stage, *stage.replicas[1:])
    assert not stage.changes


def test_a_client_that_does_not_read_is_not_the_replica_s_silence() -> None:
    stage = Stage(3)
    for notes in hung(stage):
        stage.answer(notes)
        notes.paused = True
    for _ in range(5):
        a_second_of_work(stage, *stage.replicas[1:])
    assert not stage.changes


def test_where_no_other_shows_life_it_is_not_the_replica() -> None:
    stage = Stage(3)
    hung(stage)
    stage.rest(10)
    assert not stage.changes


def test_what_takes_long_as_a_rule_may_take_long() -> None:
    stage = Stage(2)
    slow, other = stage.replicas
    for _ in range(30):
        notes = [stage.send(slow), stage.send(other)]
        stage.rest(0.5)
        for sent in notes:
            stage.answer(sent)
            stage.end(sent)
    hung(stage)
    for _ in range(16):
        notes = [stage.send(other)]
        stage.rest(0.5)
        stage.answer(notes[0])
        stage.end(notes[0])
    assert slow.breaker.state == "closed"


def test_an_idle_time_before_is_no_silence() -> None:
    stage = Stage(2)
    stage.call(stage.replicas[0])
    stage.rest(60)
    hung(stage)
    a_second_of_work(stage, stage.replicas[1])
    assert not stage.changes


def test_a_stalled_one_that_answers_after_all_is_back() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    notes = hung(stage)
    for _ in range(3):
        a_second_of_work(stage, *others)
    assert stage.told(replica) == ["ejected"]
    stage.rest(0.2)
    stage.answer(notes[0])
    assert stage.told(replica) == ["ejected", "slow_start"]


def test_p07_a_probe_that_hangs_ejects_for_longer() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    hung(stage)
    for _ in range(16):
        a_second_of_work(stage, *others)
    assert stage.told(replica) == ["ejected", "probing"]
    stage.send()
    for _ in range(3):
        a_second_of_work(stage, *others)
    assert stage.told(replica) == ["ejected", "probing", "ejected"]
    assert replica.breaker.ejections == 2


def work_at_paces(stage: Stage, seconds: int, *paces: float) -> None:
    """Ten answers a second on each, which take so long."""
    for _ in range(seconds * 10):
        for replica, pace in zip(stage.replicas, paces, strict=True):
            if not replica.breaker.out:
                notes = stage.send(replica)
                replica.active[notes] -= pace  # sent before
                stage.answer(notes)
                stage.end(notes)
        stage.rest(0.1)


def test_three_times_slower_than_the_others_halves_the_share_until_it_is_no_more() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    work_at_paces(stage, 6, 0.4, 0.1, 0.1)
    assert stage.changes[0].reason == "4.0 times slower than the others"
    assert (stage.told(replica), replica.weight) == (["suspect"], 0.5)
    work_at_paces(stage, 11, 0.1, 0.1, 0.1)
    assert stage.told(replica) == ["suspect", "closed"]


@pytest.mark.parametrize("others", [0.1, 0.0], ids=["than a tenth of a second", "than a clock can tell"])
def test_five_times_slower_ejects(others: float) -> None:
    stage = Stage(3)
    work_at_paces(stage, 6, 0.6, others, others)
    assert stage.told(stage.replicas[0]) == ["ejected"]


@pytest.mark.parametrize("paces", [(0.05, 0.01, 0.01), (0.3, 0.01, 0.11), (0.6, 0.5, 0.1)])
def test_a_little_slower_is_all_right(paces: tuple[float, float, float]) -> None:
    stage = Stage(3)
    work_at_paces(stage, 10, *paces)
    assert not stage.changes


def test_a_second_of_slowness_is_all_right() -> None:
    stage = Stage(3)
    work_at_paces(stage, 1, 0.6, 0.1, 0.1)
    work_at_paces(stage, 10, 0.1, 0.1, 0.1)
    assert not stage.changes


def test_a_suspect_of_which_nothing_is_heard_is_cleared() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    work_at_paces(stage, 6, 0.4, 0.1, 0.1)
    stage.rest(11)
    assert stage.told(replica) == ["suspect", "closed"]


def test_too_few_answers_are_no_reason() -> None:
    stage = Stage(2)
    for _ in range(20):
        for replica, pace in zip(stage.replicas, (5.0, 0.1), strict=True):
            notes = stage.send(replica)
            replica.active[notes] -= pace
            stage.answer(notes)
            stage.end(notes)
        stage.rest(1.5)
    assert not stage.changes


def test_calls_that_a_stall_has_swallowed_do_not_count_against_who_is_back() -> None:
    stage = Stage(3)
    replica, *others = stage.replicas
    notes = hung(stage, 5)
    for _ in range(3):
        a_second_of_work(stage, *others)
    stage.rest(12.1)
    stage.call()
    for swallowed in notes:
        stage.end(swallowed, TimedOut("first_token", 15))
    assert stage.told(replica) == ["ejected", "probing", "slow_start"]


def test_p47_who_was_slow_while_it_warmed_up_is_not_suspected_for_it() -> None:
    stage = Stage(3)
    replica = stage.replicas[0]
    stage.eject(replica, Failed("down"))
    stage.rest(12.1)
    stage.call()
    work_at_paces(stage, 30, 0.6, 0.1, 0.1)
    work_at_paces(stage, 10, 0.1, 0.1, 0.1)
    assert stage.told(replica) == ["ejected", "probing", "slow_start", "closed"]
