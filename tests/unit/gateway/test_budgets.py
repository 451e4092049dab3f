"""Which budgets hold when, and how they are called and told."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway import limit_words
from gateway.config.quotas import Plan
from gateway.quotas import Quotas, described, quota_of
from security.limits.budget import Budget
from tests.unit.gateway.test_quotas import CHAT, ODD, caller

BOTH = {"budgets": {"day": "25.50", "month": 500}}


def plan(**members: Any) -> Plan:
    return Plan.model_validate({"name": "default", **members})


def budgets(at: int, key_id: str = "k1", **members: Any) -> list[Budget]:
    quota = quota_of(plan(**members), "acme", key_id, "chat", at)
    return [] if quota is None else list(quota.budgets)


def unix(text: str) -> int:
    return int(datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp())


@pytest.mark.parametrize(
    ("at", "day", "month"),
    [
        ("2026-11-26T12:00:00", ("2026-11-26", "2026-11-27"), ("2026-11-01", "2026-12-01")),
        ("2026-12-31T23:59:59", ("2026-12-31", "2027-01-01"), ("2026-12-01", "2027-01-01")),
        ("2027-01-01T00:00:00", ("2027-01-01", "2027-01-02"), ("2027-01-01", "2027-02-01")),
        ("2028-02-29T00:00:00", ("2028-02-29", "2028-03-01"), ("2028-02-01", "2028-03-01")),
    ],
)
def test_a_budget_is_for_a_day_or_a_month_of_the_calendar_in_utc(
    at: str, day: tuple[str, str], month: tuple[str, str]
) -> None:
    found = budgets(unix(at), tenant=BOTH)
    assert [(one.period, one.limit) for one in found] == [("day", 25_500_000), ("month", 500_000_000)]
    assert [(one.begins, one.ends) for one in found] == [(unix(day[0]), unix(day[1])), (unix(month[0]), unix(month[1]))]
    assert [one.key for one in found] == [
        f"snowshed:{{acme}}:tenant:day_budget@{day[0]}",
        f"snowshed:{{acme}}:tenant:month_budget@{month[0]}",
    ]


@given(st.integers(0, 4_000_000_000))
def test_at_every_time_one_budget_holds_and_the_first_ends_first(at: int) -> None:
    found = budgets(at, tenant=BOTH, key=BOTH)
    assert len(found) == 4
    assert all(one.holds(at) for one in found)
    assert [one.ends for one in found] == sorted(one.ends for one in found)


def test_whose_it_is_is_told_to_the_ledger() -> None:
    found = budgets(0, key={"budgets": {"day": 1}}, tenant={"budgets": {"day": 2}}, models=[{"model": "chat", **BOTH}])
    assert [(one.limit // 10**6, one.holder) for one in found] == [
        (1, (("tenant", "acme"), ("key", "k1"))),
        (2, (("tenant", "acme"),)),
        (25, (("tenant", "acme"), ("model", "chat"))),
        (500, (("tenant", "acme"), ("model", "chat"))),
    ]


@pytest.mark.parametrize("odd", [*ODD, "a@b", "day_budget@x"], ids=range(len(ODD) + 2))
def test_a_budget_is_described_without_anybody_s_name_or_a_day(odd: str) -> None:
    found = budgets(0, odd, key=BOTH, tenant=BOTH)
    assert [described(one) for one in found] == [
        ("key", "day_budget"), ("tenant", "day_budget"), ("key", "month_budget"), ("tenant", "month_budget"),
    ]  # fmt: skip
    assert len({one.key for one in found}) == 4


def test_from_midnight_on_other_budgets_hold_and_who_has_none_is_not_looked_up_again() -> None:
    quotas = Quotas([plan(tenant=BOTH), Plan.model_validate({"name": "plain", "key": {"requests_per_minute": 1}})])
    before, after = unix("2026-11-26T23:59:59") * 1000 + 999, unix("2026-11-27T00:00:00") * 1000
    first = quotas.of(caller(), CHAT, before)
    assert quotas.of(caller(), CHAT, before - 1) is first
    second = quotas.of(caller(), CHAT, after)
    assert first is not None
    assert second is not None
    assert [a is b for a, b in zip(first.budgets, second.budgets, strict=True)] == [False, False]
    assert [a == b for a, b in zip(first.budgets, second.budgets, strict=True)] == [False, True]
    plain = quotas.of(caller(plan="plain"), CHAT, before)
    assert quotas.of(caller(plan="plain"), CHAT, after) is plain


@pytest.mark.parametrize(
    ("limit", "left", "words"),
    [
        (25_500_000, 420_000, "the key's budget of 25.50 a day (0.42)"),
        (1, 0, "the key's budget of 0.000001 a day (0.00)"),
        (10**15, 1_234_567, "the key's budget of 1000000000.00 a day (1.234567)"),
    ],
)
def test_the_caller_is_told_whose_it_is_what_is_left_and_when_it_begins_anew(limit: int, left: int, words: str) -> None:
    budget = Budget("snowshed:{acme}:key:k1:day_budget@2026-11-26", limit, "day", 0, unix("2026-11-27T00:00:00"))
    told = limit_words.unpaid(budget, left)
    assert told == f"What is left of {words} does not pay for this request; it begins anew at 2026-11-27T00:00:00Z."


@pytest.mark.parametrize("limit", [0, -1, 10**15 + 1])
def test_a_budget_has_bounds(limit: int) -> None:
    with pytest.raises(ValueError, match="from a millionth to a thousand million"):
        Budget("b", limit, "day", 0, 1)
