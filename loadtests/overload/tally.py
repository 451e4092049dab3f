"""What a load came to, counted on the clients' side, in a span of its time."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal

import msgspec

from loadtests.overload.plan import Attempt

Outcome = Literal["good", "late", "refused", "gave up", "error"]
GOOD = 1.0
"""Seconds within which an answer is of use."""


class Quantiles(msgspec.Struct, frozen=True):
    """Of times in milliseconds; all 0 if there was nothing to measure."""

    p50: float = 0.0
    p95: float = 0.0
    p99: float = 0.0


def quantiles(seconds: Iterable[float]) -> Quantiles:
    ordered = sorted(seconds)
    if not ordered:
        return Quantiles()
    last = len(ordered) - 1
    return Quantiles(*(round(ordered[round(share * last)] * 1e3, 3) for share in (0.5, 0.95, 0.99)))


def outcome(attempt: Attempt, within: float = GOOD) -> Outcome:
    if attempt.served:
        return "good" if attempt.took <= within else "late"
    if attempt.refused:
        return "refused"
    return "gave up" if attempt.ending == "left" else "error"


class Tally(msgspec.Struct, frozen=True):
    """Of a span: `goodput` are good answers a second that came in it, all else is of attempts that were due in it.

    `ok_ms` is of answers, from when they were due; `refusal_ms` of refusals, from when they were sent.
    """

    goodput: float
    outcomes: dict[Outcome, int]
    ok_ms: Quantiles
    refusal_ms: Quantiles

    @property
    def served(self) -> int:
        """Attempts that were answered, in time or not."""
        return self.outcomes.get("good", 0) + self.outcomes.get("late", 0)

    @property
    def unserved(self) -> int:
        """The other attempts."""
        return sum(self.outcomes.values()) - self.served

    @property
    def unanswered(self) -> int:
        """Attempts that were neither answered nor refused."""
        return self.outcomes.get("gave up", 0) + self.outcomes.get("error", 0)

    def share(self, what: Outcome) -> float:
        """Of all attempts; 0 where there was none."""
        return self.outcomes.get(what, 0) / max(1, sum(self.outcomes.values()))


def tally(attempts: Iterable[Attempt], start: float, end: float, of: Collection[int] = ()) -> Tally:
    """From `start` to `end` (seconds of the load), `of` the sources with these numbers, or of all."""
    ours = [attempt for attempt in attempts if not of or attempt.source in of]
    good = sum(start <= one.ended < end and outcome(one) == "good" for one in ours)
    due = [one for one in ours if start <= one.at < end]
    return Tally(
        goodput=good / (end - start),
        outcomes=dict(Counter(map(outcome, due))),
        ok_ms=quantiles(one.took for one in due if one.served),
        refusal_ms=quantiles(one.ended - one.sent for one in due if one.refused),
    )
