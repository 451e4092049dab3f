"""Single figures of plans over HTTP: other for one tenant or key, from the next request on, in every gateway."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.reloading import Source
from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.flows.admin.test_plans import allowed, allowing, shared_book  # noqa: F401  # a fixture
from tests.support.envelopes import SECRET, enveloped
from tests.support.gateway import spawned_gateway
from tests.support.knocking import SOON, seconds_until
from tests.support.stored import SOMEBODY, KeyBook

RPM = "requests_per_minute"
QUOTAS = {"plans": [{"name": "default", "key": {RPM: 60_000}, "tenant": {"tokens_per_day": 5000}}]}
TENANT = "/v1/overrides/tenants/acme"


def key_path(admin: Administration) -> str:
    return f"/v1/overrides/keys/{admin.keys['inference'].id}"


def is_allowed(admin: Administration, url: str, limit: int) -> bool:
    return allowed(url, admin.keys["inference"]) == str(limit)


def test_it_holds_from_the_next_request_on_and_after_a_restart_until_it_is_cleared(
    shared_book: KeyBook,  # noqa: F811
) -> None:
    with administration(shared_book, quotas=QUOTAS) as admin:
        client, url, caller = admin.client("operator"), admin.gateway.url, admin.keys["inference"]
        assert (allowed(url, caller), client.get("/v1/overrides").json()) == ("60000", {"data": []})
        given = {"until": "2999-01-01", "key": {RPM: 200}}
        made = client.put(TENANT, json=given)
        assert made.json() == {"holder": "tenant", "name": "acme", "set_by": "admin", "override": given}
        assert allowed(url, caller) == "200"
        assert client.put(key_path(admin), json={RPM: 300}).status_code == 200
        assert (allowed(url, caller), allowed(url, shared_book.key())) == ("300", "200")
        shown = client.get(f"/v1/limits/{caller.id}").json()
        assert {(one["holder"], one["name"]): (one["limit"], one["said_by"]) for one in shown["limits"]} == {
            ("key", RPM): (300, "key"), ("tenant", "tokens_per_day"): (5000, "plan")
        }  # fmt: skip
        assert [one["holder"] for one in shown["overrides"]] == ["tenant", "key"]
        assert [one["holder"] for one in client.get("/v1/limits/acme").json()["overrides"]] == ["tenant"]
        path = key_path(admin)
    with administration(shared_book, quotas=QUOTAS) as admin:
        client, url = admin.client("operator"), admin.gateway.url
        assert allowed(url, caller) == "300", "before the first request"
        held = client.get("/v1/config").json()["quotas"]["overrides"]
        assert (held["tenants"][0]["until"], held["keys"][0][RPM]) == ("2999-01-01", 300)
        (left,) = client.delete(path).json()["data"]
        assert (left, allowed(url, caller)) == (client.get(TENANT).json(), "200")
        assert client.delete(TENANT).json() == {"data": []}
        assert allowed(url, caller) == "60000"
        for method in ("DELETE", "GET"):
            enveloped(client.request(method, TENANT), 404, "not_found", "tenant")
            enveloped(client.request(method, path), 404, "not_found", "key")


def test_another_process_follows_within_five_seconds(book: KeyBook, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    quotas = {"plans": [{"name": "default", **allowing(60_000)}]}  # more than are asked for meanwhile
    tree = {**admin_tree(book.url, port=port), "quotas": quotas}
    with administration(book, quotas=quotas) as admin, spawned_gateway(tree, tmp_path) as other:
        client = admin.client()
        assert client.put(TENANT, json={"key": {RPM: 50_000}}).status_code == 200
        assert seconds_until(partial(is_allowed, admin, other.url, 50_000)) < SOON
        assert client.delete(TENANT).status_code == 200
        assert seconds_until(partial(is_allowed, admin, other.url, 60_000)) < SOON


def test_it_lies_over_the_file_s_which_may_be_read_again_meanwhile(book: KeyBook, tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"

    def quotas(limit: int) -> dict[str, Any]:
        return {**QUOTAS, "overrides": {"tenants": [{"name": "acme", "key": {RPM: limit}}]}}

    def write(limit: int) -> None:
        file.write_text(yaml.safe_dump({**admin_tree(book.url), "quotas": quotas(limit)}))

    write(200)
    with administration(book, source=Source(file), quotas=quotas(200)) as admin:
        client, url, caller = admin.client(), admin.gateway.url, admin.keys["inference"]
        assert (allowed(url, caller), client.get(TENANT).json()["set_by"]) == ("200", "file")
        write(250)
        assert client.post("/v1/reload").json()["changed"] == ["override of tenant acme"]
        assert allowed(url, caller) == "250"
        client.put(TENANT, json={"key": {RPM: 300}})
        write(400)
        client.post("/v1/reload")
        assert allowed(url, caller) == "300"
        (left,) = client.delete(TENANT).json()["data"]
        assert (left["set_by"], allowed(url, caller)) == ("file", "400")


def test_the_trail_has_each_before_and_after(admin: Administration) -> None:
    client = admin.client("operator")
    for given in (allowing(1), allowing(1), allowing(2)):  # the second changes nothing
        client.put(TENANT, json=given)
    client.put(TENANT, json={"key": {RPM: 0}})
    client.delete(TENANT)
    trail = [one for one in client.get("/v1/audit?object=acme").json()["data"] if one["kind"] == "limits of tenant"]
    assert {(one["actor"], one["address"]) for one in trail} == {(admin.keys["operator"].id, "127.0.0.1")}
    assert [(one["action"], one["before"], one["after"]) for one in trail] == [
        ("set", None, allowing(1)), ("set", allowing(1), allowing(2)), ("clear", allowing(2), {})
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "given", "status", "code", "param"),
    [
        ("tenants/acme", {"key": {RPM: SECRET}}, 400, "invalid_value", f"key.{RPM}"),
        ("tenants/acme", {"keys": {RPM: 5}}, 400, "invalid_value", "keys"),
        ("tenants/acme", {"name": "acme"}, 400, "invalid_value", "name"),
        ("tenants/acme", {"until": "tomorrow"}, 400, "invalid_value", "until"),
        ("tenants/acme", {"until": "2026-01-01"}, 409, "conflict", "until"),
        ("tenants/acme", [], 400, "invalid_value", None),
        ("tenants/acme", {"models": [{"model": "absent", RPM: 1}]}, 409, "conflict", "models.0.model"),
        ("tenants/acme", {"tenant": {"budgets": {"day": 1}}}, 409, "conflict", "tenant.budgets"),
        ("tenants/absent", {}, 404, "not_found", "tenant"),
        ("keys/000000000000", {RPM: 1}, 404, "not_found", "id"),
        ("keys/jwt:alice", {"tenant": {RPM: 1}}, 400, "invalid_value", "tenant"),
        ("keys/jwt:alice", {RPM: 0}, 400, "invalid_value", RPM),
    ],
)
def test_what_can_not_be_is_refused_whole(
    lasting_admin: Administration, path: str, given: Any, status: int, code: str, param: str | None
) -> None:
    client = lasting_admin.client()
    before = client.get("/v1/overrides").json(), client.get("/v1/audit?limit=1000").json()
    enveloped(client.put(f"/v1/overrides/{path}", json=given), status, code, param)
    assert (client.get("/v1/overrides").json(), client.get("/v1/audit?limit=1000").json()) == before


def test_a_whole_key_in_the_place_of_its_id_is_refused_and_not_kept(lasting_admin: Administration) -> None:
    client = lasting_admin.client()
    secret = lasting_admin.keys["inference"].text
    answer = client.put(f"/v1/overrides/keys/{secret}", json={RPM: 1})
    enveloped(answer, 400, "invalid_value", "name")
    assert secret not in answer.text + client.get("/v1/overrides").text + client.get("/v1/audit?limit=1000").text


def test_one_of_another_release_is_left_aside_and_told_once(book: KeyBook, caplog: pytest.LogCaptureFixture) -> None:
    with administration(book, quotas=QUOTAS) as admin:
        client, url = admin.client(), admin.gateway.url
        client.put(TENANT, json={"key": {RPM: 50_000}})
        book.do(lambda them: them.limit_overrides.set("tenant", "acme", {"of": "tomorrow"}, by=SOMEBODY))
        assert seconds_until(partial(is_allowed, admin, url, 60_000)) < SOON
        client.put("/v1/plans/gold", json=allowing(8))  # which looks again
        told = [vars(one) for one in caplog.records if one.msg == "override left aside"]
        assert [(one["levelname"], one["kind"], one["plan"]) for one in told] == [("ERROR", "limits of tenant", "acme")]
        assert "acme.of: there is no such setting" in told[0]["reason"]
        assert client.delete(TENANT).status_code == 200
