"""Two calls for one request: one winner, and nothing left of the loser, whatever happens at once."""

from __future__ import annotations

import asyncio
import contextlib
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from engines.api import EngineError, Failed, Overloaded, Rejected, TimedOut, Unreachable, Usage
from router.api import Quarantined
from router.quarantine import Quarantine
from tests.support.gates import Answer, Gate
from tests.support.hedged import CALL, Hedged
from tests.support.waiting import settle


async def test_the_content_that_comes_first_counts_and_the_other_call_is_cancelled_and_uncharged_at_once() -> None:
    on, answer = Hedged(Gate(), Gate()), Answer()
    await on.asked(0, 1)
    assert on.in_flight == [1, 1]
    on.gates[1].end(answer)
    with await on.task as reply:
        assert reply is answer
        assert on.in_flight == [0, 1]
        await settle()
        assert on.gates[0].left == 1
    assert on.in_flight == [0, 0]
    assert (on.notes.attempts, on.notes.replica, on.notes.failed) == (2, "r1", ())
    assert on.outcomes == {"won": 1}
    assert answer.closed == 1


async def test_the_first_ones_content_counts_if_it_comes_first() -> None:
    on, answer = Hedged(Gate(), Gate()), Answer()
    await on.asked(0, 1)
    on.gates[0].end(answer)
    with await on.task as reply:
        assert reply is answer
        assert on.in_flight == [1, 0]
    await settle()
    assert (on.gates[1].left, on.notes.replica, on.outcomes) == (1, "r0", {"lost": 1})


async def test_the_hedge_has_a_call_of_its_own_and_says_what_it_is() -> None:
    on = Hedged(Gate(), Gate())
    await on.asked(0, 1)
    first, hedge = on.gates[0].calls[0], on.gates[1].calls[0]
    assert first is not hedge
    assert (first.id, hedge.id) == ("call-1", "call-1-hedge")
    on.gates[0].end(Answer())
    with await on.task:
        pass


async def test_of_two_answers_at_once_one_counts_and_the_other_is_closed() -> None:
    on, first, hedge = Hedged(Gate(), Gate()), Answer(), Answer()
    await on.asked(0, 1)
    on.gates[1].end(hedge)
    on.gates[0].end(first)
    with await on.task as reply:
        assert reply is first
        await settle()
        assert (first.closed, hedge.closed) == (0, 1)
    assert (on.in_flight, first.closed, on.outcomes) == ([0, 0], 1, {"lost": 1})


@pytest.mark.parametrize(
    "error", [Failed("x"), Rejected("x"), Overloaded("x"), ValueError("x"), asyncio.CancelledError()]
)
async def test_what_the_hedge_alone_runs_into_does_no_harm(error: BaseException) -> None:
    on, answer = Hedged(Gate(), Gate()), Answer()
    await on.asked(0, 1)
    on.gates[1].end(error)
    await settle()
    assert on.in_flight == [1, 0]
    on.gates[0].end(answer)
    with await on.task as reply:
        assert reply is answer
    assert (on.in_flight, on.outcomes) == ([0, 0], {"failed": 1})


async def test_the_hedges_answer_counts_where_the_first_one_fails_meanwhile() -> None:
    on, answer = Hedged(Gate(), Gate()), Answer()
    await on.asked(0, 1)
    on.gates[0].end(Failed("x"))
    await settle()
    assert on.in_flight == [0, 1]
    on.gates[1].end(answer)
    with await on.task as reply:
        assert reply is answer
    assert (on.notes.failed, on.notes.attempts, on.outcomes) == ((("r0", Failed),), 2, {"won": 1})


async def test_where_both_fail_the_rules_of_fail_over_go_on() -> None:
    on, answer = Hedged(Gate(), Gate(), Gate()), Answer()
    await on.asked(0, 1)
    on.gates[1].end(Unreachable("x"))
    on.gates[0].end(Failed("x"))
    await on.asked(2)
    on.gates[2].end(answer)
    with await on.task as reply:
        assert reply is answer
    assert (on.notes.attempts, on.notes.replica, on.in_flight) == (3, "r2", [0, 0, 0])
    assert sorted(on.notes.failed) == [("r0", Failed), ("r1", Unreachable)]
    assert on.outcomes == {"failed": 1}


async def test_a_mistake_that_the_hedge_finds_is_told_where_the_first_one_has_failed() -> None:
    on = Hedged(Gate(), Gate(), Gate())
    await on.asked(0, 1)
    on.gates[0].end(Failed("x"))
    await settle()
    on.gates[1].end(Rejected("x"))
    with pytest.raises(Rejected):
        await on.task
    assert (on.gates[2].calls, on.in_flight, on.outcomes) == ([], [0, 0, 0], {"failed": 1})


async def test_two_silent_ones_are_enough() -> None:
    on = Hedged(Gate(), Gate(), Gate())
    await on.asked(0, 1)
    for gate in on.gates[:2]:
        gate.end(TimedOut("first_token", 1))
    with pytest.raises(TimedOut):
        await on.task
    assert (on.notes.attempts, on.gates[2].calls) == (2, [])


@pytest.mark.parametrize("error", [Rejected("x"), ValueError("x")])
async def test_the_callers_mistake_ends_both(error: Exception) -> None:
    on = Hedged(Gate(), Gate(), Gate())
    await on.asked(0, 1)
    on.gates[0].end(error)
    with pytest.raises(type(error)):
        await on.task
    await settle()
    assert (on.gates[1].left, on.in_flight, on.outcomes) == (1, [0, 0, 0], {"cancelled": 1})
    assert on.gates[2].calls == []


async def test_a_caller_who_leaves_takes_both_along_and_what_the_first_one_used_is_known() -> None:
    on = Hedged(Gate(Usage(7, 2)), Gate(Usage(7, 1)))
    await on.asked(0, 1)
    on.task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await on.task
    assert [gate.left for gate in on.gates] == [1, 1]
    assert (on.in_flight, on.call.spent, on.outcomes) == ([0, 0], Usage(7, 2), {"cancelled": 1})


async def test_what_the_loser_has_used_is_not_told() -> None:
    on = Hedged(Gate(Usage(7, 2)), Gate())
    await on.asked(0, 1)
    on.gates[1].end(Answer())
    with await on.task:
        await settle()
    assert (on.gates[0].left, on.call.spent) == (1, None)


async def test_a_hedge_that_answers_although_it_is_cancelled_is_closed_even_if_that_fails() -> None:
    late, answer = Answer(fails_to_close=True), Answer()
    on = Hedged(Gate(), Gate(deaf=late))
    await on.asked(0, 1)
    on.gates[0].end(answer)
    with await on.task as reply:
        assert reply is answer
        await settle()
        assert late.closed == 1
    assert on.in_flight == [0, 0]


async def test_a_first_one_that_answers_although_it_is_interrupted_counts_and_the_request_is_not_cancelled() -> None:
    late, hedge = Answer(), Answer()
    on = Hedged(Gate(deaf=late), Gate())
    await on.asked(0, 1)
    on.gates[1].end(hedge)
    with await on.task as reply:
        assert reply is late
        await settle()
        assert (hedge.closed, on.in_flight) == (1, [1, 0])
    assert (on.task.cancelling(), on.in_flight, on.outcomes) == (0, [0, 0], {"lost": 1})


async def test_an_interruption_leaves_the_requests_task_uncancelled() -> None:
    on = Hedged(Gate(), Gate())
    await on.asked(0, 1)
    on.gates[1].end(Answer())
    with await on.task:
        assert (on.task.cancelling(), on.task.cancelled()) == (0, False)


@pytest.mark.parametrize("turns", range(6))
async def test_a_caller_may_leave_at_every_turn_of_a_hedge_that_interrupts(turns: int) -> None:
    on, hedge = Hedged(Gate(), Gate()), Answer()
    await on.asked(0, 1)
    on.gates[1].end(hedge)
    for _ in range(turns):
        await asyncio.sleep(0)
    asked = on.task.cancel()
    await settle()
    assert on.task.cancelled() is asked
    if not asked:
        assert on.outcomes == {"won": 1}
        with await on.task:
            assert on.in_flight == [0, 1]
    await settle()
    assert on.in_flight == [0, 0]
    assert hedge.closed == len(on.gates[1].given)


async def test_the_places_are_given_back_even_if_closing_the_winners_reply_fails() -> None:
    on = Hedged(Gate(), Gate())
    await on.asked(0, 1)
    on.gates[1].end(Answer(fails_to_close=True))
    with pytest.raises(OSError), await on.task:  # noqa: PT011
        assert on.in_flight == [0, 1]
    assert on.in_flight == [0, 0]


async def test_p14_servers_that_die_under_a_prompt_count_for_both_lanes() -> None:
    quarantine = Quarantine(lambda: 0.0, b"key")
    on = Hedged(Gate(), Gate(), Gate(), quarantine=quarantine)
    await on.asked(0, 1)
    for gate in on.gates[:2]:
        gate.end(Failed("x", died=True))
    with pytest.raises(Failed):
        await on.task
    assert on.gates[2].calls == []
    with pytest.raises(Quarantined):
        quarantine.check(CALL)


ENDS = st.sampled_from(["answers", "fails", "overloaded", "rejects", "breaks"])
STEPS = st.lists(
    st.one_of(st.tuples(st.integers(0, 2), ENDS), st.sampled_from(["leaves", "turn"])), min_size=1, max_size=8
)


@given(steps=STEPS, seed=st.integers(0, 1 << 16), deaf=st.booleans())
def test_whatever_happens_in_whatever_order_nothing_stays_held(
    steps: list[tuple[int, str] | str], seed: int, deaf: bool
) -> None:
    asyncio.run(_anything(steps, Random(seed), deaf=deaf))


async def _anything(steps: list[tuple[int, str] | str], random: Random, *, deaf: bool) -> None:
    on = Hedged(*(Gate(deaf=Answer() if deaf else None) for _ in range(3)), after=0)
    if random.random() < 0.8:
        await on.asked(0, 1)
    for step in steps:
        if step == "turn":
            await settle()
        elif step == "leaves":
            on.task.cancel()
        else:
            on.gates[int(step[0])].end(_what(step[1]))
    await settle()
    on.task.cancel()
    with contextlib.suppress(asyncio.CancelledError, EngineError, ValueError), await on.task:
        await settle()
        assert sum(on.in_flight) == 1
        assert sum(not answer.closed for gate in on.gates for answer in gate.given) == 1
    await settle()
    assert on.in_flight == [0, 0, 0]
    assert all(replica.tokens == 0 for replica in on.version.pool.replicas)
    assert all(answer.closed == 1 for gate in on.gates for answer in gate.given)


def _what(how: str) -> Answer | BaseException:
    errors = {"fails": Failed("x"), "overloaded": Overloaded("x"), "rejects": Rejected("x"), "breaks": ValueError()}
    return errors.get(how) or Answer()
