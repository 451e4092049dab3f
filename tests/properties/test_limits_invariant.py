"""Whatever is asked for in whatever rhythm, no window of time sees more used than its limit allows; and no less passes.

The judge knows only when requests were let in and what they really used. What it finds in limiters with a fault planted
says that it can find any.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import pytest
from hypothesis import HealthCheck, find, given, settings
from hypothesis import strategies as st
from hypothesis.errors import NoSuchExample

from security.limits.api import SECOND, Bucket, Cost, Decision, OverLimit, Quota, Reservation
from security.limits.local import LocalLimiter

BURST, RATE = 100, 10
"""Tokens, and tokens a second."""


@dataclass(slots=True)
class Step:
    """So much later a request comes; it uses so much, and takes so long."""

    later: float
    reserved: int
    used: int
    takes: float


@dataclass(slots=True)
class Passed:
    at: float
    reserved: int
    used: int
    ends: float


steps = st.lists(
    st.builds(
        Step,
        st.sampled_from([0.0, 0.0, 0.25, 1.0, 5.0, 12.0]),
        st.integers(1, BURST),
        st.integers(0, 2 * BURST),
        st.sampled_from([0.0, 0.5, 3.0, 20.0]),
    ),
    max_size=30,
)


def live(make: Callable[[Callable[[], float]], LocalLimiter], happening: list[Step]) -> list[Passed]:
    now = [0.0]
    limiter = make(lambda: now[0])
    quota = Quota("acme", (Bucket("tpm", "tokens", 60 * RATE, 60, BURST),))
    passed: list[Passed] = []
    open_ones: list[tuple[Passed, Reservation]] = []
    for step in happening:
        now[0] += step.later
        for mine, reservation in sorted(open_ones, key=lambda pair: pair[0].ends):
            if mine.ends <= now[0]:
                reservation.settle(Cost(1, mine.used))
                open_ones.remove((mine, reservation))
        try:
            held = limiter.take(quota, Cost(1, step.reserved))
        except OverLimit:
            continue
        passed.append(Passed(now[0], step.reserved, step.used, now[0] + step.takes))
        open_ones.append((passed[-1], held))
    return passed


def too_much(passed: list[Passed]) -> bool:
    """Whether some window has more than its limit, and what reservations were wrong by, allow."""
    for first, opening in enumerate(passed):
        given_back = sum(max(0, one.reserved - one.used) for one in passed[:first] if one.ends > opening.at)
        for last, closing in enumerate(passed[first:], first):
            window = passed[first : last + 1]
            unknown = sum(max(0, one.used - one.reserved) for one in window if one is closing or one.ends > closing.at)
            allowed = RATE * (closing.at - opening.at) + BURST + given_back + unknown
            if sum(one.used for one in window) > allowed:
                return True
    return False


@given(steps)
@settings(suppress_health_check=[HealthCheck.too_slow])
def test_no_window_sees_more_than_its_limit(happening: list[Step]) -> None:
    assert not too_much(live(LocalLimiter, happening))


class Forgiving(LocalLimiter):
    """What a request uses beyond its reservation is charged to nobody."""

    def _end(self, quota: Quota, decision: Decision, actual: Cost) -> None:
        *_, tokens = actual.amounts
        super()._end(quota, decision, Cost(1, min(tokens, sum(paid or 0 for paid in decision.paid) * RATE // SECOND)))


class Twice(LocalLimiter):
    """Gives back twice."""

    def _end(self, quota: Quota, decision: Decision, actual: Cost) -> None:
        super()._end(quota, decision, actual)
        super()._end(quota, decision, actual)


class Blind(LocalLimiter):
    """Checks, and charges only once it is over, as gateways do that count what a response says."""

    def take(self, quota: Quota, cost: Cost) -> Reservation:
        reservation = super().take(quota, cost)
        super()._end(quota, reservation.decision, Cost(0))
        return Reservation(quota, Decision(0, (), (0,), ()), self._end)


@pytest.mark.parametrize("faulty", [Forgiving, Twice, Blind])
def test_the_judge_finds_planted_faults(faulty: type[LocalLimiter]) -> None:
    assert find(steps, lambda happening: too_much(live(faulty, happening)), settings=settings(max_examples=20_000))


def test_the_judge_finds_nothing_where_nothing_is() -> None:
    with pytest.raises(NoSuchExample):
        find(steps, lambda happening: too_much(live(LocalLimiter, happening)), settings=settings(max_examples=300))


@given(steps, st.integers(1, BURST))
def test_who_is_refused_passes_when_told_and_not_before(happening: list[Step], wanted: int) -> None:
    now = [0.0]
    limiter = LocalLimiter(lambda: now[0])
    quota = Quota("acme", (Bucket("tpm", "tokens", 60 * RATE, 60, BURST),))
    for step in happening:
        now[0] += step.later
        try:
            limiter.take(quota, Cost(1, step.reserved)).settle(Cost(1, step.used))
        except OverLimit:
            continue
    try:
        limiter.take(quota, Cost(1, wanted))
    except OverLimit as refusal:
        told = refusal.wait
        now[0] += told - 2 / SECOND
        with pytest.raises(OverLimit):
            limiter.take(quota, Cost(1, wanted))
        now[0] += 2 / SECOND
        limiter.take(quota, Cost(1, wanted))


@given(st.integers(1, BURST))
def test_all_of_the_limit_is_given_to_those_who_want_it(wanted: int) -> None:
    """At any demand above it, asking again when told to."""
    now = [0.0]
    limiter = LocalLimiter(lambda: now[0])
    quota = Quota("acme", (Bucket("tpm", "tokens", 60 * RATE, 60, BURST),))
    admitted = 0
    while now[0] < 600:
        try:
            limiter.take(quota, Cost(1, wanted)).settle(Cost(1, wanted))
            admitted += wanted
        except OverLimit as refusal:
            now[0] += refusal.wait
    assert 600 * RATE <= admitted <= 600 * RATE + BURST + wanted
