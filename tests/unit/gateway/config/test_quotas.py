"""Plans that make no sense are refused, each mistake with its path."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config import Config, ConfigError, check
from security.keys import mint

MODELS = [{"name": name, "engine": "scripted"} for name in ("chat", "other")]
ROUTING = [{"model": "chat", "aliases": ["gpt"]}]
GOOD: dict[str, Any] = {
    "name": "default",
    "key": {"requests_per_minute": 600},
    "tenant": {"tokens_per_minute": 200_000, "tokens_per_day": 50_000_000, "concurrent_requests": 64},
    "models": [{"model": "chat", "output_tokens_per_minute": 40_000}, {"model": "other", "requests_per_minute": 1}],
}


def configured(*plans: Any, **quotas: Any) -> Config:
    return check({"models": MODELS, "routing": ROUTING, "quotas": {"plans": list(plans), **quotas}}, "x")


def test_all_that_can_be_said_of_a_plan_is_taken() -> None:
    gold = {"name": "gold", "enforce": False, "without_store": "closed"}
    quotas = configured(GOOD, gold, store={"env": "LIMITS"}).quotas
    assert [(plan.name, plan.enforce, plan.without_store) for plan in quotas.plans] == [
        ("default", True, "share"), ("gold", False, "closed"),
    ]  # fmt: skip
    assert quotas.plans[0].key.requests_per_minute == 600
    assert quotas.plans[0].tenant.tokens_per_minute == 200_000
    assert [one.model for one in quotas.plans[0].models] == ["chat", "other"]
    assert quotas.plans[1].tenant.requests_per_minute is None


def test_without_the_section_nothing_is_limited() -> None:
    quotas = check({"models": MODELS}, "x").quotas
    assert (quotas.plans, quotas.store) == ((), None)


def plan(**members: Any) -> dict[str, Any]:
    return {"name": "p", **members}


@pytest.mark.parametrize(
    ("plans", "path", "told"),
    [
        ([{}], "plans[0].name", "is required"),
        ([plan(name="")], "plans[0].name", "takes a name that a tenant's plan can have"),
        ([plan(name="for gold")], "plans[0].name", "takes a name that a tenant's plan can have"),
        ([plan(), GOOD, plan()], "plans[2].name", "there is a plan of that name already"),
        ([plan(key={"requests_per_minute": 0})], "plans[0].key.requests_per_minute", "must be at least 1"),
        ([plan(key={"tokens_per_day": -5})], "plans[0].key.tokens_per_day", "must be at least 1"),
        ([plan(tenant={"tokens_per_minute": 1.5})], "plans[0].tenant.tokens_per_minute", "takes a whole number"),
        ([plan(tenant={"tokens_per_minute": True})], "plans[0].tenant.tokens_per_minute", "takes a whole number"),
        ([plan(tenant={"tokens_per_minute": "many"})], "plans[0].tenant.tokens_per_minute", "takes a whole number"),
        ([plan(tenant={"tokens_per_minute": 10**12 + 1})], "plans[0].tenant.tokens_per_minute", "must be at most"),
        ([plan(tenant={"concurrent_requests": 0})], "plans[0].tenant.concurrent_requests", "must be at least 1"),
        ([plan(tenant={"tokens_per_hour": 5})], "plans[0].tenant.tokens_per_hour", "there is no such setting"),
        ([plan(request_per_minute=5)], "plans[0].request_per_minute", "there is no such setting"),
        ([plan(models=[{"tokens_per_minute": 5}])], "plans[0].models[0].model", "is required"),
        ([GOOD, plan(models=[{"model": "absent"}])], "plans[1].models[0].model", "there is no model of that name"),
        ([plan(models=[{"model": "gpt"}])], "plans[0].models[0].model", "there is no model of that name"),
        ([plan(models=[{"model": "chat@1"}])], "plans[0].models[0].model", "there is no model of that name"),
        ([plan(models=[{"model": "chat"}, {"model": "chat"}])], "plans[0].models[1].model",
         "this model is listed already"),
        ([plan(enforce="perhaps")], "plans[0].enforce", "takes true or false"),
        ([plan(without_store="ignore")], "plans[0].without_store", "must be one of share, closed, open"),
        (["gold"], "plans[0]", "takes"),
    ],
    ids=range(21),
)  # fmt: skip
def test_a_plan_that_makes_no_sense_is_refused(plans: list[Any], path: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(*plans)
    (_, line) = str(caught.value).splitlines()
    assert line.strip().startswith(f"quotas.{path}: {told}")


def test_the_store_is_pointed_to_and_never_written_down() -> None:
    with pytest.raises(ConfigError, match=r"quotas\.store: ") as caught:
        configured(GOOD, store="redis://:h1dden@127.0.0.1")
    assert "h1dden" not in str(caught.value)


@pytest.mark.parametrize(
    ("overrides", "path", "told"),
    [
        ({"tenants": [{}]}, "tenants[0].name", "is required"),
        ({"tenants": [{"name": "a b"}]}, "tenants[0].name", "takes a tenant's name"),
        ({"tenants": [{"name": "a"}, {"name": "a"}]}, "tenants[1].name", "there is an override of that name already"),
        ({"tenants": [plan(until="soon")]}, "tenants[0].until", "takes a day"),
        ({"tenants": [plan(key={"tokens_per_day": 0})]}, "tenants[0].key.tokens_per_day", "must be at least 1"),
        ({"tenants": [plan(models=[{"model": "absent"}])]}, "tenants[0].models[0].model", "there is no model of that"),
        ({"tenants": [plan(tenant={"budgets": {"day": 1}})]}, "tenants[0].tenant.budgets", "takes auth.kind keys"),
        ({"keys": [{"name": "k"}, {"name": "k"}]}, "keys[1].name", "there is an override of that name already"),
        (
            {"keys": [{"name": "k", "requests_per_minute": "many"}]},
            "keys[0].requests_per_minute",
            "takes a whole number",
        ),
        ({"keys": [{"name": "k", "tenant": {}}]}, "keys[0].tenant", "there is no such setting"),
        ({"keys": [{"name": mint().text}]}, "keys[0].name", "takes a key's id alone"),
        ({"keys": [{"name": "k", "budgets": {"day": 1}}]}, "keys[0].budgets", "takes auth.kind keys"),
        ({"plans": []}, "plans", "there is no such setting"),
    ],
    ids=range(13),
)
def test_an_override_that_makes_no_sense_is_refused(overrides: dict[str, Any], path: str, told: str) -> None:
    with pytest.raises(ConfigError) as caught:
        configured(GOOD, overrides=overrides)
    (_, line, *_) = str(caught.value).splitlines()
    assert line.strip().startswith(f"quotas.overrides.{path}: {told}")


def test_all_that_can_be_said_of_overrides_is_taken() -> None:
    tenant = {**GOOD, "name": "acme", "until": "2027-02-01", "enforce": False}
    keys = [{"name": "3f9c2a71b0de", "requests_per_minute": None}, {"name": "mesh:spiffe://a/b", "tokens_per_day": 1}]
    overrides = configured(overrides={"tenants": [tenant], "keys": keys}).quotas.overrides
    assert (str(overrides.tenants[0].until), overrides.tenants[0].enforce) == ("2027-02-01", False)
    assert [one.tokens_per_day for one in overrides.keys] == [None, 1]
