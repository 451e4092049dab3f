"""What passes while the store is away is remembered as long as anything is owed for it, and no longer."""

from __future__ import annotations

import pytest

from security.limits.api import SECOND, Bucket, Cost, OverLimit, Quota, key
from security.limits.known import Known
from security.limits.shares import Shares

MINUTE = 60.0


class Clock:
    now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def shares(clock: Clock) -> Shares:
    return Shares(Known(clock), clock)


def quota(tenant: str, *limits: int) -> Quota:
    """Requests a minute."""
    buckets = [Bucket(key(tenant, str(nth)), "requests", limit, MINUTE) for nth, limit in enumerate(limits)]
    return Quota(tenant, tuple(buckets))


def remembered(shares: Shares) -> int:
    return max(len(shares._used), len(shares._local._tats))


def test_callers_who_owe_nothing_any_more_take_no_memory(shares: Shares, clock: Clock) -> None:
    """Ten a second, each of which has drained after a second; however long the store is away."""
    for number in range(5000):
        shares.take(quota(f"t{number}", 60, 60), Cost(1))
        clock.now += 0.1
        assert remembered(shares) <= 2 * 2 * 12
    assert len(list(shares.debts())) <= 2 * 11


def test_what_is_owed_is_told_whole(shares: Shares, clock: Clock) -> None:
    for number in range(300):
        shares.take(quota(f"t{number}", 60, 600), Cost(30))
    clock.now += 10
    owed = {debts.buckets[0].key: micros for debts, micros in shares.debts()}
    assert owed == {key(f"t{number}", "0"): 20 * SECOND for number in range(300)}


def test_who_was_forgotten_as_drained_begins_anew_and_owes_anew(shares: Shares, clock: Clock) -> None:
    for turn in range(3):
        for number in range(50):
            shares.take(quota(f"t{number}", 60), Cost(60))
            with pytest.raises(OverLimit):
                shares.take(quota(f"t{number}", 60), Cost(1))
        clock.now += 60 if turn < 2 else 0
    assert sorted(micros for _, micros in shares.debts()) == [60 * SECOND] * 50


def test_a_caller_of_whom_the_store_has_told_goes_on_from_there(clock: Clock) -> None:
    known = Known(clock)
    shares = Shares(known, clock)
    acme = quota("acme", 60)
    known._tats[acme.buckets[0].key] = known.now() + 50 * SECOND
    shares.take(acme, Cost(10))
    with pytest.raises(OverLimit):
        shares.take(acme, Cost(1))
    assert [micros for _, micros in shares.debts()] == [10 * SECOND]
