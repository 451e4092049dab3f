"""An answer that is no longer than what is left for it brings none of its caller's limits into debt."""

from __future__ import annotations

from hypothesis import assume, given
from hypothesis import strategies as st

from security.limits.api import SECOND, Bucket, Cost, Decision, NeverFits, OverLimit, Quota, Reservation, Unit
from security.limits.budget import Budget
from security.limits.local import LocalLimiter
from security.limits.output import left_for_output, left_to_spend
from security.limits.spending import spend

LIMITS = st.lists(
    st.tuples(st.sampled_from(("output_tokens", "tokens")), st.integers(1, 5000), st.sampled_from((60.0, 86_400.0))),
    min_size=1,
    max_size=4,
)
REQUESTS = st.lists(st.tuples(st.integers(0, 300), st.integers(0, 300), st.floats(0, 100)), max_size=20)


def quota_of(limits: list[tuple[Unit, int, float]], *, enforce: bool = True) -> Quota:
    buckets = [
        Bucket(f"k{at}", unit, limit, window, enforce=enforce) for at, (unit, limit, window) in enumerate(limits)
    ]
    return Quota("acme", tuple(buckets))


@given(LIMITS, REQUESTS)
def test_one_after_the_other_they_leave_no_debt(
    limits: list[tuple[Unit, int, float]], requests: list[tuple[int, int, float]]
) -> None:
    """Each as long as it may be."""
    quota, now = quota_of(limits), [0.0]
    limiter = LocalLimiter(lambda: now[0])
    for prompt, expected, pause in requests:
        try:
            reservation = limiter.take(quota, Cost(1, prompt, expected))
        except (NeverFits, OverLimit):
            continue
        left = left_for_output(reservation)
        assert left is not None
        assert all(0 <= left <= bucket.burst - expected for bucket in quota.buckets)
        reservation.settle(Cost(1, prompt, expected + left))
        for bucket in quota.buckets:
            assert limiter.tat(bucket.key) - round(now[0] * SECOND) <= bucket.span
        now[0] += pause


@given(LIMITS)
def test_the_tightest_limit_is_used_up(limits: list[tuple[Unit, int, float]]) -> None:
    """But for a token at most, as charges are rounded up and what is left is rounded down."""
    quota = quota_of(limits)
    limiter = LocalLimiter(lambda: 0.0)
    left = left_for_output(limiter.take(quota, Cost(1, 0, 1)))
    assert left is not None
    assert 0 <= min(bucket.burst for bucket in quota.buckets) - 1 - left <= 1


@given(LIMITS)
def test_limits_that_are_only_tried_bound_nothing(limits: list[tuple[Unit, int, float]]) -> None:
    quota = quota_of(limits, enforce=False)
    assert left_for_output(LocalLimiter(lambda: 0.0).take(quota, Cost(1, 0, 1))) is None


@given(LIMITS)
def test_what_passes_without_a_store_takes_nothing_and_is_bounded_by_nothing(
    limits: list[tuple[Unit, int, float]],
) -> None:
    quota = quota_of(limits)
    nothing = Decision(0, [0] * len(limits), [None] * len(limits), ())
    assert left_for_output(Reservation(quota, nothing, None)) is None


BUDGETS = st.lists(st.tuples(st.integers(1, 10**6), st.booleans()), min_size=1, max_size=3)


@given(BUDGETS, st.integers(1, 10**6))
def test_the_tightest_budget_that_is_enforced_is_spent(budgets: list[tuple[int, bool]], money: int) -> None:
    quota = Quota(
        "acme",
        budgets=tuple(
            Budget(f"k{at}", limit, "day", 0, 86_400, enforce=enforce) for at, (limit, enforce) in enumerate(budgets)
        ),
    )
    decision = spend(quota, money, [0] * len(budgets), Decision(0, (), (), ()), ())
    enforced = [limit for limit, enforce in budgets if enforce]
    assume(decision.refused_by is None)
    left = left_to_spend(Reservation(quota, decision, None))
    assert left == (min(enforced) - money if enforced else None)
    assert left_to_spend(Reservation(quota, Decision(0, (), (), ()), None)) is None, "nothing was taken of them"
