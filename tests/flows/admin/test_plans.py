"""Plans of limits over HTTP: they hold from the next request on, in every gateway, over restarts, until cleared."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.reloading import Source
from loadtests.bench.processes import free_ports
from security.keys import NewKey
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.flows.keys.conftest import VARIABLE
from tests.support import plain
from tests.support.envelopes import SECRET, enveloped
from tests.support.gateway import spawned_gateway
from tests.support.knocking import SOON, ask, seconds_until
from tests.support.stored import SOMEBODY, KeyBook

DAY = "tokens_per_day"
"""So much drains so slowly that what is left stands still while a test runs."""


@pytest.fixture
def shared_book(database: str, monkeypatch: pytest.MonkeyPatch) -> KeyBook:
    """In either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    return KeyBook(database)


def allowing(limit: int) -> dict[str, Any]:
    """A plan that allows each key so many requests, as answers tell."""
    return {"key": {"requests_per_minute": limit}}


def allowed(url: str, key: NewKey) -> str:
    """The limit that a request is told of; "-": nothing binds it."""
    answer = ask(url, key)
    assert answer.status_code == 200, answer.text
    told: str = answer.headers.get("x-ratelimit-limit-requests", "-")
    return told


def _is_allowed(url: str, key: NewKey, limit: int) -> bool:
    return allowed(url, key) == str(limit)


def test_a_plan_holds_from_the_next_request_on_and_after_a_restart_until_it_is_cleared(shared_book: KeyBook) -> None:
    with administration(shared_book) as admin:
        client, url, caller = admin.client("operator"), admin.gateway.url, admin.keys["inference"]
        assert (allowed(url, caller), client.get("/v1/plans").json()) == ("-", {"data": []})
        assert client.put("/v1/plans/gold", json=allowing(1000)).status_code == 200
        assert allowed(url, caller) == "-", "nobody is on it"
        made = client.put("/v1/plans/default", json=allowing(500))
        assert made.json() == {
            "name": "default", "set_by": "admin", "tenants": 1, "plan": {"key": {"requests_per_minute": 500}}
        }  # fmt: skip
        assert allowed(url, caller) == "500"
        assert client.put("/v1/plans/default", json=allowing(600)).status_code == 200
        assert allowed(url, caller) == "600"
    with administration(shared_book) as admin:
        client, url = admin.client("operator"), admin.gateway.url
        assert allowed(url, caller) == "600", "before the first request"
        assert [(one["name"], one["tenants"]) for one in client.get("/v1/plans").json()["data"]] == [
            ("default", 1), ("gold", 0)
        ]  # fmt: skip
        held = client.get("/v1/config").json()["quotas"]["plans"]
        assert [plan["key"]["requests_per_minute"] for plan in held] == [600, 1000]
        (left,) = client.delete("/v1/plans/default").json()["data"]
        assert (left, allowed(url, caller)) == (client.get("/v1/plans/gold").json(), "-")
        enveloped(client.delete("/v1/plans/default"), 404, "not_found", "plan")
        enveloped(client.get("/v1/plans/default"), 404, "not_found", "plan")


def test_what_was_used_of_a_limit_stays_used_when_it_changes(book: KeyBook) -> None:
    with administration(book) as admin:
        client, url, caller = admin.client(), admin.gateway.url, admin.keys["inference"]
        client.put("/v1/plans/default", json={"key": {DAY: 2000}})
        while ask(url, caller).status_code == 200:
            pass
        client.put("/v1/plans/default", json={"key": {DAY: 1_000_000}})
        raised = ask(url, caller)
        assert raised.status_code == 200, "a little of much more is enough"
        assert int(raised.headers["x-ratelimit-remaining-tokens"]) < 500_000, "no fresh one"


def test_another_process_follows_within_five_seconds(shared_book: KeyBook, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    with (
        administration(shared_book) as admin,
        spawned_gateway(admin_tree(shared_book.url, port=port), tmp_path) as other,
    ):
        client, caller = admin.client(), admin.keys["inference"]
        for limit in (50_000, 60_000):  # more than are asked for meanwhile
            assert client.put("/v1/plans/default", json=allowing(limit)).status_code == 200
            assert seconds_until(partial(_is_allowed, other.url, caller, limit)) < SOON
        assert client.delete("/v1/plans/default").status_code == 200
        assert seconds_until(lambda: allowed(other.url, caller) == "-") < SOON


def test_it_lies_over_the_file_which_may_be_read_again_meanwhile(book: KeyBook, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    tree = admin_tree(book.url)

    def write(limit: int) -> None:
        file.write_text(yaml.safe_dump({**tree, "quotas": {"plans": [{"name": "default", **allowing(limit)}]}}))

    write(100)
    with administration(book, source=Source(file), quotas={"plans": [{"name": "default", **allowing(100)}]}) as admin:
        client, url, caller = admin.client(), admin.gateway.url, admin.keys["inference"]
        assert (allowed(url, caller), client.get("/v1/plans/default").json()["set_by"]) == ("100", "file")
        write(200)
        assert client.post("/v1/reload").json()["changed"] == ["plan default"]
        assert allowed(url, caller) == "200"
        client.put("/v1/plans/default", json=allowing(300))
        write(400)
        assert client.post("/v1/reload").json()["changed"] == ["plan default"]
        assert allowed(url, caller) == "300"
        (left,) = client.delete("/v1/plans/default").json()["data"]
        assert (left["set_by"], left["tenants"], allowed(url, caller)) == ("file", 1, "400")


def test_one_that_tenants_are_on_is_not_cleared(admin: Administration) -> None:
    client = admin.client()
    client.put("/v1/plans/gold", json=allowing(5))
    client.patch("/v1/tenants/acme", json={"plan": "gold"})
    refused = client.delete("/v1/plans/gold")
    enveloped(refused, 409, "conflict", "plan")
    assert refused.json()["error"]["message"].startswith("1 tenant is on this plan, and the file has none of that name")
    client.patch("/v1/tenants/acme", json={"plan": "default"})
    assert client.delete("/v1/plans/gold").json() == {"data": []}


def test_the_trail_has_each_entry_before_and_after(admin: Administration) -> None:
    client = admin.client("operator")
    for given in (allowing(1), allowing(1), allowing(2)):  # the second changes nothing
        client.put("/v1/plans/gold", json=given)
    client.put("/v1/plans/gold", json={"key": {"requests_per_minute": 0}})
    client.delete("/v1/plans/gold")
    trail = client.get("/v1/audit?object=gold").json()["data"]
    assert {(one["actor"], one["address"], one["kind"]) for one in trail} == {
        (admin.keys["operator"].id, "127.0.0.1", "plan")
    }
    assert [(one["action"], one["before"], one["after"]) for one in trail] == [
        ("set", None, allowing(1)), ("set", allowing(1), allowing(2)), ("clear", allowing(2), {})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("name", "given", "param"),
    [
        ("gold", {"key": {"requests_per_minute": SECRET}}, "key.requests_per_minute"),
        ("gold", {"keys": {"requests_per_minute": 5}}, "keys"),
        ("gold", {"tenant": {"tokens_per_day": -1}}, "tenant.tokens_per_day"),
        ("gold", {"name": "gold"}, "name"),
        ("for%20gold", {}, "plan"),
        ("gold", [], None),
    ],
)
def test_what_can_not_be_is_refused_whole(
    lasting_admin: Administration, name: str, given: Any, param: str | None
) -> None:
    client = lasting_admin.client()
    before = client.get("/v1/plans").json(), client.get("/v1/audit?limit=1000").json()
    enveloped(client.put(f"/v1/plans/{name}", json=given), 400, "invalid_value", param)
    assert (client.get("/v1/plans").json(), client.get("/v1/audit?limit=1000").json()) == before


def test_of_models_it_names_those_that_there_are_set_here_or_not(admin: Administration) -> None:
    client = admin.client()
    given = {"models": [{"model": "mock", "tokens_per_day": 1}, {"model": "new", "tokens_per_day": 1}]}
    refused = client.put("/v1/plans/gold", json=given)
    enveloped(refused, 409, "conflict", "models.1.model")
    assert refused.json()["error"]["message"] == "Nothing is changed: models.1.model: there is no model of that name."
    assert client.put("/v1/models/new/versions/1", json={"engine": "scripted"}).status_code == 200
    assert client.put("/v1/plans/gold", json=given).status_code == 200
    assert client.delete("/v1/models/new/versions/1").status_code == 200
    assert client.get("/v1/plans/gold").json()["plan"] == given, "of which nothing binds by now"


def test_one_of_another_release_is_left_aside_and_told_once(book: KeyBook, caplog: pytest.LogCaptureFixture) -> None:
    with administration(book) as admin:
        client, url, caller = admin.client(), admin.gateway.url, admin.keys["inference"]
        client.put("/v1/plans/default", json=allowing(500))
        assert allowed(url, caller) == "500"
        book.do(lambda them: them.plans.set("default", {"of": "tomorrow"}, by=SOMEBODY))
        book.do(lambda them: them.plans.set("gold", allowing(7), by=SOMEBODY))
        assert seconds_until(lambda: allowed(url, caller) == "-") < SOON
        assert [one["name"] for one in client.get("/v1/plans").json()["data"]] == ["gold"]
        client.put("/v1/plans/gold", json=allowing(8))  # which looks again
        told = [vars(one) for one in caplog.records if one.msg == "override left aside"]
        assert [(one["levelname"], one["kind"], one["plan"]) for one in told] == [("ERROR", "plan", "default")]
        assert "default.of: there is no such setting" in told[0]["reason"]
        assert client.delete("/v1/plans/default").status_code == 200


def test_a_stored_budget_whose_model_has_no_price_any_more_is_told_by_readyz(book: KeyBook) -> None:
    book.do(lambda them: them.plans.set("gold", {"tenant": {"budgets": {"day": 1}}}, by=SOMEBODY))
    with administration(book) as admin:
        ready = plain.get(f"{admin.gateway.ops_url}/readyz")
    assert ready.status_code == 200
    assert "plan gold: tenant.budgets: mock has no price" in ready.text
