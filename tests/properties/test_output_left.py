"""An answer that is no longer than what is left for it brings none of its caller's limits into debt."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from security.limits.api import SECOND, Bucket, Cost, Decision, NeverFits, OverLimit, Quota, Reservation, Unit
from security.limits.local import LocalLimiter
from security.limits.output import left_for_output

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
        left = left_for_output(reservation, expected)
        assert left is not None
        assert left >= expected
        assert all(left <= bucket.burst for bucket in quota.buckets)
        reservation.settle(Cost(1, prompt, left))
        for bucket in quota.buckets:
            assert limiter.tat(bucket.key) - round(now[0] * SECOND) <= bucket.span
        now[0] += pause


@given(LIMITS)
def test_the_tightest_limit_is_used_up(limits: list[tuple[Unit, int, float]]) -> None:
    """But for a token at most, as charges are rounded up and what is left is rounded down."""
    quota = quota_of(limits)
    limiter = LocalLimiter(lambda: 0.0)
    left = left_for_output(limiter.take(quota, Cost(1, 0, 1)), 1)
    assert left is not None
    assert 0 <= min(bucket.burst for bucket in quota.buckets) - left <= 1


@given(LIMITS)
def test_limits_that_are_only_tried_bound_nothing(limits: list[tuple[Unit, int, float]]) -> None:
    quota = quota_of(limits, enforce=False)
    assert left_for_output(LocalLimiter(lambda: 0.0).take(quota, Cost(1, 0, 1)), 1) is None


@given(LIMITS)
def test_what_passes_without_a_store_takes_nothing_and_is_bounded_by_nothing(
    limits: list[tuple[Unit, int, float]],
) -> None:
    quota = quota_of(limits)
    nothing = Decision(0, [0] * len(limits), [None] * len(limits), ())
    assert left_for_output(Reservation(quota, nothing, None), 1) is None
