"""Whatever is admitted and fails in whatever rhythm, retries stay within their budget."""

from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st

from router.retries import RetryBudget

WINDOW = 10.0
SURE = 0.9 * WINDOW
"""What the window covers at least: it moves on in tenths."""


@dataclass
class Step:
    """So many seconds later, work is admitted, or would be tried again."""

    later: float
    retry: bool
    tokens: int


steps = st.lists(st.builds(Step, st.floats(0, 3) | st.just(0.0), st.booleans(), st.integers(1, 1000)), max_size=80)


def live(budget: RetryBudget, now: list[float], happening: list[Step]) -> tuple[list[tuple[float, int]], ...]:
    """When how much was admitted, and when how much was tried again."""
    admitted: list[tuple[float, int]] = []
    retried: list[tuple[float, int]] = []
    for step in happening:
        now[0] += step.later
        if not step.retry:
            budget.admitted(step.tokens)
            admitted.append((now[0], step.tokens))
        elif budget.may_retry(step.tokens):
            retried.append((now[0], step.tokens))
    return admitted, retried


def within(events: list[tuple[float, int]], last: float, until: float) -> list[int]:
    return [tokens for at, tokens in events if until - last < at <= until]


@given(steps, st.floats(0.01, 1.0))
def test_retried_work_is_a_share_of_what_was_admitted_lately(happening: list[Step], share: float) -> None:
    now = [100.0]
    admitted, retried = live(RetryBudget(lambda: now[0], share, WINDOW, 0), now, happening)
    for number, (at, _) in enumerate(retried):
        # Events of one instant have no order in the lists: what was admitted at this one may have come later.
        assert sum(within(retried[: number + 1], SURE, at)) <= share * sum(within(admitted, WINDOW + 1e-6, at)) + 1e-6


@given(steps, st.integers(0, 5))
def test_besides_there_are_no_more_than_the_floor(happening: list[Step], floor: int) -> None:
    now = [100.0]
    _, retried = live(RetryBudget(lambda: now[0], 0.0, WINDOW, floor), now, happening)
    for at, _tokens in retried:
        assert len(within(retried, SURE, at)) <= floor


@given(steps)
def test_a_budget_recovers(happening: list[Step]) -> None:
    now = [100.0]
    budget = RetryBudget(lambda: now[0])
    live(budget, now, happening)
    now[0] += WINDOW
    assert sum(budget.may_retry(10**6) for _ in range(100)) == 10


@settings(max_examples=20)
@given(st.integers(1, 100), st.integers(1, 2000), st.integers(1, 4))
def test_p16_if_all_attempts_fail_they_are_hardly_more_than_requests(rate: int, tokens: int, extra: int) -> None:
    now, seconds = [0.0], 30
    budget = RetryBudget(lambda: now[0])
    attempts = 0
    for request in range(rate * seconds):
        now[0] = request / rate
        budget.admitted(tokens)
        attempts += 1 + sum(budget.may_retry(tokens) for _ in range(extra))
    windows = seconds / SURE + 1
    assert attempts <= 1.1 * rate * seconds + 10 * windows + 1
