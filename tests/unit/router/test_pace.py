"""How long places are held follows what a fleet can do within a second, and does not jump about while little ends."""

from __future__ import annotations

from collections.abc import Callable
from random import Random

import pytest

from router.pace import Pace


def live(pace: Pace, start: float, seconds: float, rate: float, held: Callable[[], float]) -> None:
    """So many that end each second, told four times a second."""
    due = 0.0
    for quarter in range(1, round(4 * seconds) + 1):
        due += rate / 4
        count, due = int(due), due - int(due)
        pace.learn([(1.0, held()) for _ in range(count)], start + quarter / 4)


def test_a_capacity_that_halves_is_followed_within_a_second() -> None:
    pace = Pace(0.0)
    live(pace, 0, 10, 80, lambda: 0.1)
    assert pace.held_per_work == pytest.approx(0.1)
    live(pace, 10, 1, 40, lambda: 0.2)
    assert pace.held_per_work is not None
    assert pace.held_per_work > 0.16
    live(pace, 11, 1, 40, lambda: 0.2)
    assert pace.held_per_work == pytest.approx(0.2, rel=0.1)


def test_one_that_comes_back_too() -> None:
    pace = Pace(0.0)
    live(pace, 0, 10, 40, lambda: 0.2)
    live(pace, 10, 1, 80, lambda: 0.1)
    assert pace.held_per_work == pytest.approx(0.1, rel=0.2)


def test_it_does_not_jump_about_while_little_ends() -> None:
    pace, random = Pace(0.0), Random(1)
    live(pace, 0, 120, 0.2, lambda: random.uniform(5, 15))
    seen = []
    for minute in range(2, 12):
        live(pace, 60 * minute, 60, 0.2, lambda: random.uniform(5, 15))
        seen.append(pace.held_per_work or 0.0)
    assert 7.5 < min(seen) < max(seen) < 12.5


@pytest.mark.parametrize("last", ["long", "short"])
def test_it_matters_little_which_ended_last(last: str) -> None:
    pace = Pace(0.0)
    for second in range(100):
        pace.learn([(100.0, 12.0)] if second % 10 == 0 else [(1.0, 0.12)], float(second))
    pace.learn([(100.0, 12.0)] if last == "long" else 20 * [(1.0, 0.12)], 100.0)
    assert pace.held_per_work == pytest.approx(0.12)


def test_so_many_places_get_so_much_work_done() -> None:
    pace, random = Pace(0.0), Random(1)
    # Eight places, each with one request after the other, which takes twice as long as its work is estimated.
    free = [0.0] * 8
    done: list[tuple[float, float]] = []
    for _ in range(4000):
        place = min(range(8), key=free.__getitem__)
        work = random.lognormvariate(-2, 1)
        free[place] += 2 * work
        done.append((free[place], work))
    done.sort()
    for quarter in range(20, int(4 * min(free))):
        now = quarter / 4
        pace.learn([(work, 2 * work) for end, work in done if now - 0.25 < end <= now], now)
    assert pace.held_per_work is not None
    total = sum(work for _, work in done)
    assert 8 / pace.held_per_work == pytest.approx(total / max(free), rel=0.05)


def test_failures_at_once_and_one_that_is_stuck_move_it_little() -> None:
    pace = Pace(0.0)
    live(pace, 0, 10, 80, lambda: 0.1)
    pace.learn([(1.0, 1000.0)], 10.25)
    assert pace.held_per_work == pytest.approx(0.1, rel=0.25)
    pace.learn([(1.0, 0.0)], 10.5)
    assert pace.held_per_work == pytest.approx(0.1, rel=0.25)


def test_nothing_has_ended() -> None:
    pace = Pace(0.0)
    pace.learn([], 1.0)
    assert pace.held_per_work is None
    pace.learn([(1.0, 0.0)], 1.25)
    assert pace.held_per_work == pytest.approx(0.001), "as far as a clock can tell"
    assert repr(pace) == "<Pace 0.001 s for one of work, 1 ended lately>"
