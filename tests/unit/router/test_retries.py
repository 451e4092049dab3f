"""Retries are a share of what was admitted lately, and a few besides; however everything fails, there is no storm."""

from __future__ import annotations

import pytest

from router.retries import RetryBudget


class Day:
    """A budget and its clock."""

    def __init__(self, **settings: float) -> None:
        self.now = 1000.0
        self.budget = RetryBudget(lambda: self.now, **settings)  # type: ignore[arg-type]  # floor is an int

    def retries(self, tokens: int = 100) -> int:
        """How many there may be now."""
        count = 0
        while self.budget.may_retry(tokens):
            count += 1
        return count


def test_without_anything_admitted_there_is_the_floor() -> None:
    assert Day().retries(10**9) == 10


def test_a_share_of_the_work_may_be_retried_and_the_floor_besides() -> None:
    day = Day()
    for _ in range(1000):
        day.budget.admitted(100)
    assert day.retries() == 110


def test_work_is_counted_and_not_requests() -> None:
    day = Day(floor=0)
    for _ in range(1000):
        day.budget.admitted(100)
    assert not day.budget.may_retry(10_001)
    assert day.retries(5000) == 2
    assert not day.budget.may_retry(1)


def test_what_does_not_fit_the_share_takes_from_the_floor_and_leaves_the_share() -> None:
    day = Day(floor=1)
    day.budget.admitted(1000)
    assert day.budget.may_retry(10**6)
    assert day.retries(50) == 2


@pytest.mark.parametrize("gap", [0.0, 5.0, 12.5, 1e6])
def test_what_is_older_than_the_window_is_forgotten(gap: float) -> None:
    day = Day()
    day.budget.admitted(100_000)
    day.now += gap
    day.budget.admitted(0)
    assert day.retries() == (110 if gap < 10 else 10)
    day.now += 8.9 if gap < 10 else 0.0
    assert day.retries() == 0
    day.now += 10.0
    assert day.retries() == 10


def test_p16_where_every_attempt_fails_attempts_stay_within_115_percent() -> None:
    day, attempts = Day(), 0
    for second in range(30):
        for request in range(50):
            day.now = 1000 + second + request / 50
            day.budget.admitted(600)
            attempts += 1
            tried_again = 0
            while tried_again < 2 and day.budget.may_retry(600):
                tried_again += 1
            attempts += tried_again
    assert 1500 * 1.10 <= attempts <= 1500 * 1.15


def test_p16_a_share_of_nothing_and_no_floor_is_no_retry() -> None:
    day = Day(share=0.0, floor=0)
    day.budget.admitted(10**6)
    assert day.retries() == 0


def test_another_window_moves_on_at_its_own_pace() -> None:
    day = Day(window=1.0, floor=2)
    assert day.retries() == 2
    day.now += 0.85
    assert day.retries() == 0
    day.now += 0.2
    assert day.retries() == 2


def test_it_tells_what_is_left() -> None:
    day = Day()
    day.budget.admitted(1000)
    day.budget.may_retry(100)
    day.budget.may_retry(100)
    assert repr(day.budget) == "<RetryBudget 100 of 100 tokens taken, and 1 of 10 requests>"
