"""Overrides are laid over plans figure by figure, until they end; each figure tells who has said it."""

from __future__ import annotations

from typing import Any

import pytest

from gateway.config.quotas import KeyOverride, Plan, TenantOverride
from gateway.overriding import Overrides, laid, origin
from gateway.quotas import Quotas, quota_of
from gateway.store.spending import start_of
from router.api import Replica
from security.api import Principal
from security.limits.api import Limit, Quota
from tests.support.choosing import SaysLoad
from tests.support.models import made_of

RPM, TPM, DAY = "requests_per_minute", "tokens_per_minute", "tokens_per_day"
CHAT = made_of("chat", [Replica("chat-0", SaysLoad())])
PLAN = Plan.model_validate({
    "name": "default",
    "key": {RPM: 10},
    "tenant": {TPM: 100, DAY: 1000, "budgets": {"day": 5, "month": 50}},
    "models": [{"model": "chat", RPM: 7, TPM: 70}, {"model": "other", RPM: 8}],
})  # fmt: skip


def tenant(**members: Any) -> TenantOverride:
    return TenantOverride.model_validate({"name": "acme", **members})


def key(**members: Any) -> KeyOverride:
    return KeyOverride.model_validate({"name": "k1", **members})


def caller(key_id: str = "k1", of: str = "acme") -> Principal:
    return Principal(key_id, of, None, frozenset({"inference"}), 1, 0, "default")


def bound(quota: Quota | None) -> dict[str, int]:
    """How much each limit is, by whose it is and its name."""
    assert quota is not None
    limits: list[Limit] = [*quota.buckets, *quota.budgets]
    return {each.key.partition("}:")[2].rsplit("@")[0]: each.limit for each in limits}


def test_single_figures_are_replaced_and_the_others_stay() -> None:
    one = tenant(tenant={TPM: 200, DAY: None, "budgets": {"month": 80}}, models=[{"model": "chat", TPM: 140}])
    both = laid(PLAN, one, key(requests_per_minute=20, concurrent_requests=2))
    assert bound(quota_of(both, "acme", "k1", None, 0)) == {
        "key:k1:requests_per_minute": 20,
        "tenant:tokens_per_minute": 200,
        "model:chat:requests_per_minute": 7,
        "model:chat:tokens_per_minute": 140,
        "model:other:requests_per_minute": 8,
        "tenant:day_budget": 5_000_000,
        "tenant:month_budget": 80_000_000,
    }
    assert both.key.concurrent_requests == 2


def test_the_key_s_lies_over_the_tenant_s_and_a_model_that_the_plan_has_not_is_added() -> None:
    one = tenant(key={RPM: 15, TPM: 5}, models=[{"model": "new", RPM: 1}])
    both = laid(PLAN, one, key(requests_per_minute=20))
    assert (both.key.requests_per_minute, both.key.tokens_per_minute) == (20, 5)
    assert [each.model for each in both.models] == ["chat", "other", "new"]


@pytest.mark.parametrize(("name", "value"), [("enforce", False), ("cut_answers", True), ("without_store", "open")])
def test_what_a_plan_does_is_replaced_where_it_is_said(name: str, value: Any) -> None:
    assert getattr(laid(PLAN, tenant(**{name: value}), None), name) == value
    other = PLAN.model_copy(update={name: value})
    assert getattr(laid(other, tenant(key={RPM: 1}), None), name) == value


def test_each_figure_tells_who_has_said_it() -> None:
    one = tenant(
        key={RPM: 1, TPM: 2}, tenant={TPM: None, "budgets": {"day": 1}}, models=[{"model": "chat", TPM: 3}]
    )  # fmt: skip
    both = one, key(requests_per_minute=4)
    said = {
        (RPM, "key", ""): "key",
        (TPM, "key", ""): "tenant",
        (DAY, "key", ""): "plan",
        (TPM, "tenant", ""): "tenant",
        (RPM, "tenant", ""): "plan",
        ("budgets.day", "tenant", ""): "tenant",
        ("budgets.month", "tenant", ""): "plan",
        ("budgets.day", "key", ""): "plan",
        (TPM, "model", "chat"): "tenant",
        (RPM, "model", "chat"): "plan",
        (TPM, "model", "other"): "plan",
    }
    assert {asked: origin(*asked, *both) for asked in said} == said
    assert origin(RPM, "key", "", None, None) == "plan"


def test_it_binds_whose_it_is_alone_and_until_its_day_begins() -> None:
    one = tenant(until="2027-02-01", tenant={TPM: 200})
    assert one.until is not None
    ends = start_of(one.until) * 1000
    quotas = Quotas([PLAN], Overrides({"acme": one}, {"k2": KeyOverride(name="k2", requests_per_minute=None)}))
    of_tenant, of_key = "tenant:tokens_per_minute", "requests_per_minute"
    assert bound(quotas.of(caller(), CHAT, ends - 1))[of_tenant] == 200
    assert bound(quotas.of(caller(of="other"), CHAT, ends - 1))[of_tenant] == 100
    assert f"key:k2:{of_key}" not in bound(quotas.of(caller("k2"), CHAT, ends - 1))
    for moment in (ends, ends - 1):  # a clock that is put back brings nothing back
        assert bound(quotas.of(caller(), CHAT, moment))[of_tenant] == 100
    assert f"key:k2:{of_key}" not in bound(quotas.of(caller("k2"), CHAT, ends)), "has no end"


def test_what_was_set_holds_whole_in_the_place_of_the_file_s_and_when_it_is_gone_the_file_s_holds() -> None:
    quotas = Quotas([PLAN], Overrides({"acme": tenant(tenant={TPM: 200, DAY: 2000})}))
    quotas.lay({}, Overrides({"acme": tenant(tenant={TPM: 300})}))
    held = bound(quotas.of(caller(), CHAT))
    assert (held["tenant:tokens_per_minute"], held["tenant:tokens_per_day"]) == (300, 1000)
    quotas.lay({})
    assert bound(quotas.of(caller(), CHAT))["tenant:tokens_per_minute"] == 200
    quotas.apply([PLAN])
    assert bound(quotas.of(caller(), CHAT))["tenant:tokens_per_minute"] == 100


def test_who_is_on_no_plan_is_bound_by_an_override_alone() -> None:
    quotas = Quotas([], Overrides({}, {"k1": key(requests_per_minute=3)}))
    assert bound(quotas.of(caller(), CHAT)) == {"key:k1:requests_per_minute": 3}
    assert quotas.of(caller("k2"), CHAT) is None
