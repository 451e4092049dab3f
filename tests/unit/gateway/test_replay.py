"""Past requests held to a plan: what it would have refused, by which limit, and when."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import pytest

from gateway.config.plans import read_plan
from gateway.quotas import quota_of
from gateway.replay import Caller, Replay
from gateway.store.spending import DAY, Seen
from security.limits.api import Cost, NeverFits, OverLimit
from security.limits.local import LocalLimiter
from tests.support.ledgers import MIDNIGHT

KEY = "0123456789ab"


def seen(after: int = 0, **fields: Any) -> Seen:
    """A request of ten tokens, so many seconds after midnight."""
    given: dict[str, Any] = {
        "id": "req", "at": MIDNIGHT + after, "tenant": "acme", "key": KEY, "model": "chat", "version": "chat@1",
        "prompt_tokens": 6, "completion_tokens": 4, "exact": True, "outcome": "success", "code": "", "duration_ms": 250,
        "cost": "0.000012",
    }  # fmt: skip
    return Seen(**(given | fields))


def replayed(rows: Iterable[Seen], **plan: Any) -> Replay:
    replay = Replay(read_plan("tried", plan))
    for row in rows:  # one at a time, as pages may end anywhere
        replay.feed([row])
    replay.end()
    return replay


def of(replay: Replay, key: str = KEY, tenant: str = "acme") -> Caller:
    return replay.callers[tenant, key]


def test_what_drains_in_between_passes_and_what_comes_too_soon_does_not() -> None:
    every_minute = replayed((seen(60 * nth) for nth in range(100)), key={"requests_per_minute": 1})
    assert (of(every_minute).requests, of(every_minute).refused) == (100, {})
    twice = replayed((seen(30 * nth) for nth in range(100)), key={"requests_per_minute": 1})
    assert of(twice).refused == {"key requests_per_minute": 50}
    assert (twice.first, twice.last) == (MIDNIGHT, MIDNIGHT + 99 * 30)


def test_it_comes_to_what_a_limiter_decides_at_those_times() -> None:
    rows = [seen(7 * nth, prompt_tokens=nth * 37 % 50, completion_tokens=nth * 11 % 30) for nth in range(500)]
    limits = {"key": {"tokens_per_minute": 200}, "tenant": {"input_tokens_per_minute": 150}}
    quota = quota_of(read_plan("tried", limits), "acme", KEY, "chat")
    assert quota is not None
    clock, refused = [0.0], 0
    limiter = LocalLimiter(lambda: clock[0])
    for row in rows:
        clock[0] = row.at
        try:
            limiter.take(quota, Cost(1, row.prompt_tokens, row.completion_tokens))
        except (OverLimit, NeverFits):
            refused += 1
    assert 0 < refused == of(replayed(rows, **limits)).refused.total() < 500


def test_each_is_held_to_its_own_and_all_of_a_tenant_to_its_tenant_s() -> None:
    rows = [seen(nth // 4, key=f"k{nth % 4}", tenant=("acme", "other")[nth % 2]) for nth in range(40)]
    found = replayed(rows, key={"requests_per_minute": 8}, tenant={"requests_per_minute": 12})
    assert {whose: caller.requests for whose, caller in found.callers.items()} == {
        ("acme", "k0"): 10, ("other", "k1"): 10, ("acme", "k2"): 10, ("other", "k3"): 10
    }  # fmt: skip
    for tenant, keys in (("acme", ("k0", "k2")), ("other", ("k1", "k3"))):
        refused = [of(found, key, tenant).refused for key in keys]
        assert refused == [{"tenant requests_per_minute": count} for count in (3, 4)], (
            "12 at once, and one in ten seconds"
        )
    few = replayed(rows[:33], key={"requests_per_minute": 4}, tenant={"requests_per_minute": 100})
    assert of(few, "k0").refused == {"key requests_per_minute": 5}
    assert of(few, "k2").refused == {"key requests_per_minute": 4}


def test_limits_of_a_model_bind_its_requests_alone() -> None:
    rows = [seen(nth, model=("chat", "other")[nth % 2]) for nth in range(10)]
    found = replayed(rows, models=[{"model": "chat", "requests_per_minute": 2}])
    assert of(found).refused == {"model chat requests_per_minute": 3}


@pytest.mark.parametrize(("duration_ms", "refused"), [(900, 0), (1500, 4), (3500, 6)])
def test_who_is_under_way_is_told_by_when_each_came_and_how_long_it_took(duration_ms: int, refused: int) -> None:
    rows = [seen(nth, duration_ms=duration_ms) for nth in range(9)]
    assert of(replayed(rows, key={"concurrent_requests": 1})).refused.total() == refused


def test_those_of_one_second_are_taken_as_evenly_apart() -> None:
    """Ten one after the other, each a twentieth of a second, are not ten at a time."""
    rows = [seen(duration_ms=50) for _ in range(10)]
    assert of(replayed(rows, key={"concurrent_requests": 1})).refused == {}
    assert of(replayed(rows[:5] * 4, key={"concurrent_requests": 1})).refused == {}
    assert of(replayed(rows * 4, key={"concurrent_requests": 1})).refused.total() == 20


def test_what_failed_is_given_back_when_it_ends_and_what_broke_off_is_not() -> None:
    failing = [seen(nth * 10, outcome="failed", prompt_tokens=0, completion_tokens=0) for nth in range(20)]
    assert of(replayed(failing, key={"requests_per_minute": 1})).refused == {}
    broken = [seen(nth * 10, outcome="failed") for nth in range(20)]
    assert of(replayed(broken, key={"requests_per_minute": 1})).refused.total() > 10
    slow = [seen(nth * 10, outcome="failed", completion_tokens=0, duration_ms=45_000) for nth in range(5)]
    assert of(replayed(slow, key={"requests_per_minute": 1})).refused.total() == 4


def test_an_answer_longer_than_a_limit_ever_holds_is_a_debt_and_a_prompt_never_passes() -> None:
    found = replayed(
        [seen(completion_tokens=300, duration_ms=1), seen(61), seen(200)], key={"output_tokens_per_minute": 100}
    )
    assert (of(found).refused, of(found).never) == ({"key output_tokens_per_minute": 1}, 0)
    found = replayed([seen(prompt_tokens=101), seen(1)], key={"input_tokens_per_minute": 100})
    assert (of(found).refused, of(found).never) == ({"key input_tokens_per_minute": 1}, 1)


def test_budgets_are_those_of_each_day_and_month_by_what_requests_did_cost() -> None:
    rows = [seen(nth * DAY // 4, cost="1.000000") for nth in range(12)]
    assert of(replayed(rows, key={"budgets": {"day": 3}})).refused == {"key day_budget": 3}
    assert of(replayed(rows, tenant={"budgets": {"day": 3, "month": 8}})).refused == {
        "tenant day_budget": 2, "tenant month_budget": 2
    }  # fmt: skip
    assert of(replayed(rows, models=[{"model": "chat", "budgets": {"day": "0.999999"}}])).refused == {
        "model chat day_budget": 12
    }
    free = [seen(nth, cost="0.000000", outcome="failed", completion_tokens=0) for nth in range(5)]
    assert of(replayed(free, key={"budgets": {"day": "0.000001"}})).refused == {}


def test_the_worst_minute_is_that_with_most_refused() -> None:
    rows = [seen(0)] + [seen(60 + nth) for nth in range(3)] + [seen(180 + nth) for nth in range(5)] + [seen(300)] * 2
    caller = of(replayed(rows, key={"tokens_per_day": 10}))
    assert (caller.refused.total(), caller.worst_at, caller.worst) == (10, MIDNIGHT + 180, 5)


def test_what_came_to_no_model_is_left_aside_and_a_plan_that_is_tried_is_held_to() -> None:
    rows = [seen(), seen(version="", outcome="ignored", code="rate_limit_exceeded"), seen(2)]
    found = replayed(rows, key={"requests_per_minute": 1}, enforce=False)
    assert (found.aside, of(found).requests, of(found).refused.total()) == (1, 2, 1)
    assert repr(found) == "<Replay of 1 callers, 0 requests under way, 1 aside>"
    nothing = replayed([])
    assert (nothing.callers, nothing.first, nothing.last) == ({}, 0, 0)
