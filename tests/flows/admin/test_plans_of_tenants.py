"""A tenant is put on plans that there are: on any other, limits that nobody meant would bind it."""

from __future__ import annotations

import pytest

from tests.flows.admin.conftest import Administration
from tests.support.stored import SOMEBODY

GOLD = {"key": {"requests_per_minute": 100_000}}


def test_a_plan_that_there_is_not_is_refused_with_the_nearest_name(admin: Administration) -> None:
    client = admin.client()
    assert client.put("/v1/plans/gold", json=GOLD).status_code == 200
    for answer in (
        client.post("/v1/tenants", json={"name": "snow", "plan": "golf"}),
        client.patch("/v1/tenants/acme", json={"plan": "golf"}),
    ):
        assert answer.status_code == 400
        error = answer.json()["error"]
        assert (error["param"], error["message"]) == ("plan", "plan: there is no plan of that name; did you mean gold?")
    assert client.get("/v1/tenants/snow").status_code == 404
    assert client.get("/v1/tenants/acme").json()["plan"] == "default"


@pytest.mark.parametrize("plan", ["gold", "default"])
def test_one_that_there_is_and_none_at_all_are_taken(admin: Administration, plan: str) -> None:
    client = admin.client()
    client.put("/v1/plans/gold", json=GOLD)
    assert client.post("/v1/tenants", json={"name": "snow", "plan": plan}).status_code == 201
    assert client.patch("/v1/tenants/snow", json={"plan": plan}).status_code == 200


def test_one_that_was_set_elsewhere_a_moment_ago_is_taken(admin: Administration) -> None:
    client = admin.client()
    client.put("/v1/plans/gold", json=GOLD)
    admin.book.do(lambda them: them.plans.set("silver", GOLD, by=SOMEBODY))
    assert client.post("/v1/tenants", json={"name": "snow", "plan": "silver"}).status_code == 201


def test_where_there_is_no_plan_names_are_for_later(admin: Administration) -> None:
    client = admin.client()
    assert client.post("/v1/tenants", json={"name": "snow", "plan": "gold"}).status_code == 201


def test_other_terms_change_whatever_the_plan(admin: Administration) -> None:
    """Its plan may have gone since."""
    client = admin.client()
    client.post("/v1/tenants", json={"name": "snow", "plan": "gone"})
    client.put("/v1/plans/gold", json=GOLD)
    assert client.patch("/v1/tenants/snow", json={"weight": 3}).status_code == 200
