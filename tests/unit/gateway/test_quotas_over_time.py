"""P33: who stays below all of their limits is never refused, and who asks for more gets all of them."""

from __future__ import annotations

import heapq
from itertools import count
from random import Random

import pytest

from gateway.config.quotas import Plan
from gateway.quotas import Quotas
from router.api import Replica
from security.api import Principal
from security.limits.api import Cost, OverLimit, Quota, Reservation
from security.limits.local import LocalLimiter
from tests.support.choosing import SaysLoad
from tests.support.models import made_of

RPM, PROMPT, ANSWER, EXPECTED = 600, 200, 200, 260
"""Requests a minute, and tokens of each: of an answer on average, and as seven of ten are expected to keep to."""
LASTS = 5.0
"""Seconds of each request."""
MINUTES = 30
WHOLE = {"requests_per_minute": RPM, "tokens_per_minute": RPM * (PROMPT + ANSWER)}
PLAN = Plan.model_validate({
    "name": "default",
    "key": {**WHOLE, "input_tokens_per_minute": RPM * PROMPT, "output_tokens_per_minute": RPM * ANSWER},
    "tenant": WHOLE,
    "models": [{"model": "m", **WHOLE}],
})  # fmt: skip


def bound() -> Quota:
    principal = Principal("k1", "acme", None, frozenset({"inference"}), 1, 0)
    quota = Quotas([PLAN]).of(principal, made_of("m", [Replica("m-0", SaysLoad())]))
    assert quota is not None
    assert len(quota.buckets) == 8
    return quota


class Traffic:
    """Requests as they come in and end, on a clock of their own."""

    def __init__(self, seed: int) -> None:
        self.now = 0.0
        self.admitted = self.refused = self.tokens = 0
        self._limiter = LocalLimiter(lambda: self.now)
        self._quota = bound()
        self._random = Random(seed)
        self._numbers = count()
        self._under_way: list[tuple[float, int, Reservation, Cost]] = []

    def use_up(self) -> None:
        """A minute's worth."""
        self._limiter.take(self._quota, Cost(RPM, RPM * PROMPT, RPM * ANSWER)).settle(
            Cost(RPM, RPM * PROMPT, RPM * ANSWER)
        )

    def come(self, share: float, minutes: float) -> None:
        """At random times, so many of what the limits allow, for so long; those that are refused stay away."""
        until = self.now + 60 * minutes
        while self.now < until:
            self._step(self._random.expovariate(share * RPM / 60))
            actual = Cost(1, PROMPT, self._random.randrange(2 * ANSWER))
            try:
                held = self._limiter.take(self._quota, Cost(1, PROMPT, EXPECTED))
            except OverLimit:
                self.refused += 1
                continue
            self.admitted += 1
            self.tokens += actual.amounts[-1]
            heapq.heappush(self._under_way, (self.now + LASTS, next(self._numbers), held, actual))

    def _step(self, seconds: float) -> None:
        then = self.now + seconds
        while self._under_way and self._under_way[0][0] <= then:
            self.now, _, held, actual = heapq.heappop(self._under_way)
            held.settle(actual)
        self.now = then


@pytest.mark.parametrize("seed", range(3))
def test_p33_who_stays_below_all_limits_is_never_refused(seed: int) -> None:
    traffic = Traffic(seed)
    traffic.come(0.95, MINUTES)
    assert traffic.refused == 0
    assert traffic.admitted > 0.9 * RPM * MINUTES


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("share", [1.2, 4.0])
def test_p33_who_asks_for_more_gets_all_of_the_limits(seed: int, share: float) -> None:
    traffic = Traffic(seed)
    traffic.use_up()
    traffic.come(share, MINUTES)
    assert 0.97 <= traffic.admitted / (RPM * MINUTES) <= 1.03
    assert traffic.tokens / (RPM * (PROMPT + ANSWER) * MINUTES) <= 1.03
    assert traffic.refused > 0


@pytest.mark.parametrize("seed", range(3))
def test_p33_after_too_much_there_is_room_again_as_soon_as_it_has_drained(seed: int) -> None:
    traffic = Traffic(seed)
    traffic.come(4.0, 5)
    before = traffic.refused
    assert before > 0
    traffic._step(60 + LASTS)
    traffic.come(0.9, MINUTES)
    assert traffic.refused == before
