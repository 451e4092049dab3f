"""When clients come."""

from __future__ import annotations

from itertools import pairwise
from random import Random

from loadtests.overload.arrivals import arrivals
from loadtests.overload.plan import Phase

PHASES = [Phase(2.0, 50), Phase(3.0, 0), Phase(1.0, 400)]


def test_each_phase_has_as_many_as_its_rate_says_within_its_time() -> None:
    times = arrivals(PHASES, Random(1))
    assert len(times) == 500
    assert sum(time < 2 for time in times) == 100
    assert not [time for time in times if 2 <= time < 5]
    assert max(times) < 6


def test_they_come_in_order_and_the_same_for_the_same_seed() -> None:
    times = arrivals(PHASES, Random(1))
    assert times == sorted(times)
    assert times == arrivals(PHASES, Random(1))
    assert times != arrivals(PHASES, Random(2))


def test_gaps_are_as_uneven_as_those_of_poisson_arrivals() -> None:
    times = arrivals([Phase(100.0, 50)], Random(1))
    gaps = [later - earlier for earlier, later in pairwise(times)]
    mean = sum(gaps) / len(gaps)
    variance = sum((gap - mean) ** 2 for gap in gaps) / len(gaps)
    assert 0.8 < variance / mean**2 < 1.2  # exactly 1 in the limit; 0 if they came evenly
