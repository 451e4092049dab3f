"""Budgets of money are refused where nobody could count or price what they are spent on."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import ConfigError, check
from gateway.config.quotas import Budgets

MODELS = [{"name": name, "engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]} for name in ("a", "b")]
PRICED = {"prices": [{"model": name, "input": 1, "output": 0} for name in ("a", "b")]}


def tree(kind: str = "keys", ledger: Any = PRICED, /, **members: Any) -> dict[str, Any]:
    return {
        "auth": {"kind": kind},
        "models": MODELS,
        "ledger": ledger,
        "quotas": {"plans": [{"name": "default", **members}]},
    }


def mistakes(given: dict[str, Any]) -> str:
    with pytest.raises(ConfigError) as caught:
        check(given, "test")
    return str(caught.value)


def test_with_keys_and_prices_for_all_models_there_may_be_budgets() -> None:
    config = check(tree(key={"budgets": {"day": "0.000001"}}, tenant={"budgets": {"month": 10**9}}), "test")
    assert config.quotas.budget_grace == 60.0
    assert config.quotas.plans[0].key.budgets
    assert not config.quotas.plans[0].models


def test_a_model_s_budget_takes_a_price_of_that_model_alone() -> None:
    one = {"prices": PRICED["prices"][:1]}
    check(tree("keys", one, models=[{"model": "a", "budgets": {"day": 1}}]), "test")
    told = mistakes(tree("keys", one, models=[{"model": "a"}, {"model": "b", "budgets": {"day": 1}}]))
    assert "quotas.plans[0].models[1].budgets: b has no price" in told


def test_a_colon_in_a_model_s_own_name_makes_no_adapter_of_it() -> None:
    models = [{**MODELS[0], "name": "a:7b"}]

    def given(priced: str) -> dict[str, Any]:
        prices = {"prices": [{"model": priced, "input": 1, "output": 0}]}
        return {**tree("keys", prices, key={"budgets": {"day": 1}}), "models": models}

    check(given("a:7b"), "test")
    assert "a:7b has no price" in mistakes(given("a"))


def test_a_price_that_only_begins_is_none_yet() -> None:
    """Until then all would be had for nothing."""

    def given(since: str) -> dict[str, Any]:
        prices = {"prices": [{"model": name, "since": since, "input": 1, "output": 0} for name in ("a", "b")]}
        return tree("keys", prices, key={"budgets": {"day": 1}})

    check(given("2026-01-01"), "test")
    assert "a has no price" in mistakes(given("9999-12-31"))


@pytest.mark.parametrize("holder", ["key", "tenant"])
def test_others_take_a_price_of_every_model(holder: str) -> None:
    told = mistakes(tree("keys", {}, **{holder: {"budgets": {"day": 1}}}))
    assert f"quotas.plans[0].{holder}.budgets: a has no price: ledger.prices takes an entry for it, of 0" in told


def test_without_keys_there_is_no_ledger_to_count_by() -> None:
    assert "quotas.plans[0].tenant.budgets: takes auth.kind keys" in mistakes(
        tree("none", tenant={"budgets": {"month": 1}})
    )


@pytest.mark.parametrize(
    ("value", "words"),
    [(0, "must be more than 0"), ("0.0000001", "6 decimal"), (10**9 + 1, "at most 1000000000"), ("x", "a number")],
)
def test_money_has_bounds(value: Any, words: str) -> None:
    told = mistakes(tree(tenant={"budgets": {"day": value}}))
    assert "quotas.plans[0].tenant.budgets.day: " in told
    assert words in told


def test_no_budget_is_no_mistake_anywhere() -> None:
    check(tree("none", {}, tenant={"budgets": {}}, key={"requests_per_minute": 1}), "test")


@pytest.mark.parametrize(("given", "told"), [("1e9", "1000000000"), ("1E+5", "100000"), ("5.00", "5.00"), (0.5, "0.5")])
def test_money_is_told_in_figures(given: object, told: str) -> None:
    """As it may be given back: what the schema takes has no exponent."""
    budgets = Budgets.model_validate({"day": given})
    assert budgets.model_dump(mode="json") == {"day": told, "month": None}
