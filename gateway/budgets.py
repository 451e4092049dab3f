"""What the budgets of a plan are at a time: in whole millionths, for a period of the calendar in UTC."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, timedelta
from typing import Final

from gateway.config.quotas import Allowance
from gateway.pricing import MICRO
from gateway.store.spending import day_of, start_of
from security.limits.api import key
from security.limits.budget import Budget, Period

PERIODS: Final[tuple[Period, ...]] = ("day", "month")
MARK: Final = "@"
"""Stands in a budget's key before its period."""


def budgets_of(
    holders: Sequence[tuple[Allowance, tuple[str, ...]]], tenant: str, at: int, *, enforce: bool
) -> Iterator[Budget]:
    """Those that hold at a time in Unix seconds, days before months. `holders`: each with its kind and name."""
    for period in PERIODS:
        first, ends = _span(period, day_of(at))
        for allowance, holder in holders:
            money = getattr(allowance.budgets, period)
            if money is not None:
                name = key(tenant, *holder, f"{period}_budget{MARK}{first}")
                whose = {"tenant": tenant} if len(holder) == 1 else {"tenant": tenant, holder[0]: holder[1]}
                begins, limit = start_of(first), int(money * MICRO)
                yield Budget(name, limit, period, begins, start_of(ends), tuple(whose.items()), enforce)


def _span(period: Period, day: date) -> tuple[date, date]:
    """The first day of a period of the calendar, and that of the next one."""
    if period == "day":
        return day, day + timedelta(days=1)
    first = day.replace(day=1)
    return first, (first + timedelta(days=31)).replace(day=1)
