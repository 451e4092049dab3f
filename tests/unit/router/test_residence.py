"""How long places are held follows what a fleet can do within a second, and does not jump about while little ends."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from router.residence import Residence


def live(residence: Residence, start: float, seconds: float, rate: float, held: Callable[[], float]) -> None:
    """So many that end each second, told four times a second."""
    due = 0.0
    for quarter in range(1, round(4 * seconds) + 1):
        due += rate / 4
        count, due = int(due), due - int(due)
        residence.learn([(0.05, held()) for _ in range(count)], start + quarter / 4)


def test_a_capacity_that_halves_is_followed_within_a_second() -> None:
    residence = Residence(0.0)
    live(residence, 0, 10, 80, lambda: 0.1)
    assert residence.mean == pytest.approx(0.1)
    live(residence, 10, 1, 40, lambda: 0.2)
    assert residence.mean is not None
    assert residence.mean > 0.16
    live(residence, 11, 1, 40, lambda: 0.2)
    assert residence.mean == pytest.approx(0.2, rel=0.1)


def test_one_that_comes_back_too() -> None:
    residence = Residence(0.0)
    live(residence, 0, 10, 40, lambda: 0.2)
    live(residence, 10, 1, 80, lambda: 0.1)
    assert residence.mean == pytest.approx(0.1, rel=0.2)


def test_it_does_not_jump_about_while_little_ends() -> None:
    residence, random = Residence(0.0), Random(1)
    live(residence, 0, 120, 0.2, lambda: random.uniform(5, 15))
    seen = []
    for minute in range(2, 12):
        live(residence, 60 * minute, 60, 0.2, lambda: random.uniform(5, 15))
        seen.append(residence.mean or 0.0)
    assert 7.5 < min(seen) < max(seen) < 12.5


def test_it_is_weighed_by_work() -> None:
    residence = Residence(0.0)
    for second in range(100):
        residence.learn([(0.09, 2.0), (0.01, 1.0)], float(second))
    assert residence.mean == pytest.approx(1.9, rel=0.02)


def test_littles_law_tells_the_rate_at_which_work_gets_done() -> None:
    residence, random = Residence(0.0), Random(1)
    # Eight places, each with one request after the other, whose work is as long as it takes.
    free = [0.0] * 8
    done: list[tuple[float, float, float]] = []
    for _ in range(4000):
        place = min(range(8), key=free.__getitem__)
        work = random.lognormvariate(-2, 0.5)
        done.append((free[place] + work, work, work))
        free[place] += work
    done.sort()
    means, in_flight = 0.0, 0.0
    for quarter in range(20, int(4 * min(free))):
        now = quarter / 4
        residence.learn([(work, held) for end, work, held in done if now - 0.25 < end <= now], now)
        means += residence.mean or 0.0
        in_flight += sum(work for end, work, held in done if end - held <= now < end)
    assert in_flight / means == pytest.approx(8, rel=0.1)


def test_failures_at_once_and_one_that_is_stuck_move_it_little() -> None:
    residence = Residence(0.0)
    live(residence, 0, 10, 80, lambda: 0.1)
    residence.learn([(0.05, 1000.0)], 10.25)
    assert residence.mean == pytest.approx(0.1, rel=0.25)
    residence.learn([(0.05, 0.0)], 10.5)
    assert residence.mean == pytest.approx(0.1, rel=0.25)


def test_nothing_has_ended() -> None:
    residence = Residence(0.0)
    residence.learn([], 1.0)
    assert residence.mean is None
    residence.learn([(1.0, 0.0)], 1.25)
    assert residence.mean == pytest.approx(0.001), "as far as a clock can tell"
    assert repr(residence) == "<Residence 0.001 s, 1 ended lately>"
