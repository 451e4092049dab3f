"""Limits that can't be are refused when they are made."""

from __future__ import annotations

import time

import pytest

from security.limits.api import Bucket, Cost, OverLimit, Quota, Slots, key
from security.limits.local import LocalLimiter


@pytest.mark.parametrize(
    ("limit", "window", "burst"), [(0, 60, 0), (1, 0, 0), (1, -1, 0), (1, 60, -1), (1, 10**12, 0), (1, 86400, 10**9)]
)
def test_a_limit_that_cannot_be_counted_is_refused(limit: int, window: float, burst: int) -> None:
    with pytest.raises(ValueError, match="takes"):
        Bucket("k", "tokens", limit, window, burst)


def test_no_slots_at_all_are_refused() -> None:
    with pytest.raises(ValueError, match="takes"):
        Slots("k", 0)


def test_two_limits_of_a_quota_share_no_key() -> None:
    with pytest.raises(ValueError, match="key"):
        Quota("acme", (Bucket("k", "tokens", 1, 60), Bucket("k", "requests", 1, 60)))


def test_all_limits_of_a_tenant_lie_on_one_node() -> None:
    assert key("acme", "key", "AbC123", "requests") == "snowshed:{acme}:key:AbC123:requests"


def test_more_tokens_than_microseconds_are_counted() -> None:
    """Rounded up, as nobody may get more than the limit."""
    limiter = LocalLimiter(lambda: 0.0)
    quota = Quota("acme", (Bucket("k", "tokens", 100_000_000, 1, burst=101),))
    with limiter.take(quota, Cost(1, 101)) as reservation:
        assert [(left.remaining, left.full_in) for left in reservation.standings] == [(0, 2e-06)]
    with limiter.take(quota, Cost(1, 1)) as reservation:
        assert [left.remaining for left in reservation.standings] == [100]


def test_holds_say_what_they_are() -> None:
    limiter = LocalLimiter(time.monotonic)
    quota = Quota("acme", (Bucket("k", "tokens", 60, 60),), (Slots("s", 1),))
    reservation = limiter.take(quota, Cost(1, 2, 3))
    assert repr(reservation) == "<Reservation [5000000] µs, 1 slots, open>"
    assert repr(limiter) == "<LocalLimiter 1 buckets, 1 slots taken>"
    with pytest.raises(OverLimit, match=r"^s$"):
        limiter.take(quota, Cost())
    reservation.settle(Cost(1, 2, 3))
    assert repr(reservation) == "<Reservation [5000000] µs, 1 slots, settled>"
    assert repr(limiter) == "<LocalLimiter 1 buckets, 0 slots taken>"
