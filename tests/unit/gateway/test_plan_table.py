"""Plans as a shell shows them: each limit with whose it is, budgets among them."""

from __future__ import annotations

import pytest

from gateway.admin.routes.answers import SeenPlan
from gateway.cli.plans.table import print_plans


def test_every_limit_is_told_and_nothing_that_is_none(capsys: pytest.CaptureFixture[str]) -> None:
    plan = {
        "key": {"requests_per_minute": 60, "tokens_per_day": None},
        "tenant": {"budgets": {"day": "25.00", "month": None}},
        "models": [{"model": "chat", "tokens_per_day": 5, "budgets": {"month": "9"}}],
        "enforce": False,
    }
    print_plans([SeenPlan("gold", "file", 2, plan), SeenPlan("none", "admin", 0, {})], as_json=False)
    _, gold, none = capsys.readouterr().out.splitlines()
    limits = "key requests_per_minute 60, tenant budgets.day 25.00, chat tokens_per_day 5, chat budgets.month 9"
    assert gold.split() == ["gold", "file", "2", "no", *limits.split()]
    assert none.split() == ["none", "admin", "0", "yes", "none"]
