"""Hedges: only for whom they are meant, only after silence, and within their budget."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from engines.api import Call, Failed
from router.api import Rank
from router.hedging import Hedge, HedgeAccount
from router.pool import Pool
from router.retries import RetryBudget
from tests.support.gates import Answer, Gate
from tests.support.hedged import CALL, Hedged
from tests.support.waiting import until


async def test_who_answers_in_time_is_not_hedged() -> None:
    on = Hedged(Gate(), Gate(), after=60)
    await on.asked(0)
    on.gates[0].end(Answer())
    with await on.task:
        assert on.in_flight == [1, 0]
    assert (on.gates[1].calls, on.notes.attempts, on.outcomes) == ([], 1, {})


async def test_who_fails_before_the_silence_is_over_is_failed_over_without_a_hedge() -> None:
    on = Hedged(Gate(), Gate(), after=60)
    await on.asked(0)
    on.gates[0].end(Failed("x"))
    await on.asked(1)
    on.gates[1].end(Answer())
    with await on.task:
        assert on.gates[1].calls[0].id == "call-1"
    assert (on.notes.attempts, on.outcomes) == (2, {})


async def test_beyond_the_budget_silence_is_waited_out() -> None:
    on = Hedged(Gate(), Gate(), account=HedgeAccount(RetryBudget(lambda: 0.0, 0.02, floor=0)))
    await until(lambda: on.outcomes == {"withheld": 1})
    on.gates[0].end(Answer())
    with await on.task:
        assert on.gates[1].calls == []


async def test_what_was_answered_in_time_is_what_hedges_get_their_share_of() -> None:
    account = HedgeAccount(RetryBudget(lambda: 0.0, 0.02, floor=0))
    for _ in range(49):
        on = Hedged(Gate(), Gate(), after=60, account=account)
        await on.asked(0)
        on.gates[0].end(Answer())
        with await on.task:
            pass
    on = Hedged(Gate(), Gate(), account=account)
    await on.asked(0, 1)
    on.gates[0].end(Answer())
    with await on.task:
        assert account.outcomes["withheld"] == 0
    assert on.outcomes == {"lost": 1}


async def test_hedges_take_two_percent_of_the_work_and_one_request_besides() -> None:
    account = HedgeAccount(RetryBudget(lambda: 0.0, 0.02, floor=1))
    for _ in range(1000):
        account.budget.admitted(100)
    assert sum(account.budget.may_retry(100) for _ in range(1000)) == 21


async def test_a_pool_that_pushes_back_is_not_hedged() -> None:
    on = Hedged(Gate(), Gate())
    for replica in on.version.pool.replicas:
        replica.breaker.pushed_back(0.0, 0.0, 60.0)
    assert on.version.pool.saturated
    await until(lambda: on.outcomes == {"withheld": 1})
    on.gates[0].end(Answer())
    with await on.task:
        assert on.gates[1].calls == []


class Awaited(Gate):
    """Once it is asked, somebody waits for a place."""

    pool: Pool

    async def call(self, call: Call) -> Answer:
        self.pool.freed = lambda: None
        return await super().call(call)


async def test_a_place_that_somebody_waits_for_is_none_for_a_hedge() -> None:
    first = Awaited()
    on = Hedged(first, Gate())
    first.pool = on.version.pool
    await until(lambda: on.outcomes == {"withheld": 1})
    first.end(Answer())
    with await on.task:
        assert on.gates[1].calls == []


async def test_a_lone_replica_has_no_hedge() -> None:
    on = Hedged(Gate())
    await until(lambda: on.outcomes == {"withheld": 1})
    on.gates[0].end(Answer())
    with await on.task:
        assert on.notes.attempts == 1


@pytest.mark.parametrize(
    ("rank", "changes", "suits"),
    [
        (0, {}, True),
        (1, {}, False),
        (2, {}, False),
        (0, {"stream": False}, False),
        (0, {"stream": False, "kind": "embedding"}, True),
    ],
)
def test_only_what_is_critical_is_hedged_and_only_where_silence_says_something(
    rank: Rank, changes: dict[str, object], suits: bool
) -> None:
    hedge = Hedge(1, HedgeAccount(RetryBudget(lambda: 0.0, 0.02, floor=1)))
    assert hedge.suits(rank, replace(CALL, **changes)) is suits
