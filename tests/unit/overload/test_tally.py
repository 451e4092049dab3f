"""What is counted of a load."""

from __future__ import annotations

import pytest

from loadtests.overload.plan import Attempt, Ending
from loadtests.overload.tally import Outcome, Quantiles, outcome, quantiles, tally


def attempt(at: float, ended: float, status: int = 200, ending: Ending = "answered", source: int = 0) -> Attempt:
    return Attempt(source, 0, at, begun=at, sent=at + 0.01, ended=ended, ending=ending, status=status)


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        (attempt(1, 1.9), "good"),
        (attempt(1, 2.1), "late"),
        (attempt(1, 1.1, 503), "refused"),
        (attempt(1, 1.1, 429), "refused"),
        (attempt(1, 1.1, 500), "error"),
        (attempt(1, 3.0, 0, "left"), "gave up"),
        (attempt(1, 1.1, 0, "lost"), "error"),
    ],
    ids=str,
)
def test_how_an_attempt_ended(seen: Attempt, expected: Outcome) -> None:
    assert outcome(seen) == expected


def test_goodput_is_what_came_in_the_span_and_the_rest_is_of_what_was_due_in_it() -> None:
    before, within, after = attempt(0.5, 1.4), attempt(1.2, 1.6), attempt(1.8, 2.2)
    refused = attempt(1.5, 1.512, 503)
    counts = tally([before, within, after, refused], 1.0, 2.0)
    assert counts.goodput == 2
    assert counts.outcomes == {"good": 2, "refused": 1}
    assert counts.ok_ms == quantiles([0.4, 0.4])
    assert counts.refusal_ms.p50 == pytest.approx(2.0)  # from when it was sent
    assert counts.share("good") == pytest.approx(2 / 3)
    assert (counts.served, counts.unserved, counts.unanswered) == (2, 1, 0)


def test_sources_are_counted_apart() -> None:
    both = [attempt(0, 0.1, source=0), attempt(0, 0.1, 503, source=1)]
    assert tally(both, 0, 1, [1]).outcomes == {"refused": 1}


def test_quantiles_are_measured_ones() -> None:
    assert quantiles([]) == Quantiles()
    assert quantiles(number / 1000 for number in range(101)) == Quantiles(50, 95, 99)
