"""Who may do what, over real sockets, on every route that there is."""

from __future__ import annotations

import httpx2
import pytest

from gateway.admin.roles import OPERATOR, ROLES, for_method
from tests.flows.admin.conftest import Administration, ended_request
from tests.flows.admin.routes import ROUTES, Route
from tests.support.envelopes import enveloped
from tests.support.stored import SOMEBODY

RANKS = {"inference": -1, "routing": -1, **{role: rank for rank, role in enumerate(ROLES)}}


def ask(client: httpx2.Client, route: Route, key_id: str, request_id: str) -> httpx2.Response:
    body = {"name": f"of-{key_id}"} if route.body == {"name": "new"} else route.body
    return client.request(route.method, route.at(key_id, request_id=request_id), json=body)


def test_the_table_has_every_route(admin: Administration) -> None:
    paths = admin.client("viewer").get("/openapi.json").json()["paths"]
    assert {(method.upper(), path) for path, item in paths.items() for method in item} == {
        (route.method, route.path) for route in ROUTES
    }


def test_each_role_may_what_it_may_and_the_others_are_told_what_they_lack(admin: Administration) -> None:
    clients = {role: admin.client(role) for role in RANKS}
    request_id = ended_request(admin)
    for route in ROUTES:
        for role in sorted(RANKS, key=RANKS.__getitem__):
            key = admin.book.key()
            if route == Route("DELETE", "/v1/plans/{plan}", OPERATOR):  # once for each who may
                admin.book.do(lambda them: them.plans.set("silver", {}, by=SOMEBODY))
            if route.path.startswith("/v1/overrides/") and route.method != "PUT":
                clients["operator"].put(route.at(key.id), json={}).raise_for_status()
            answer = ask(clients[role], route, key.id, request_id)
            if RANKS[role] >= RANKS[route.least]:
                assert answer.status_code == route.status, (str(route), role, answer.text)
            else:
                enveloped(answer, 403, "insufficient_permissions")
                lacking = {route.least, for_method(route.method)} - {it for it in ROLES if RANKS[it] <= RANKS[role]}
                assert min(lacking, key=RANKS.__getitem__) in answer.json()["error"]["message"]


@pytest.mark.parametrize("scope", ROLES)
def test_an_operator_rules_no_key_that_rules_and_an_admin_does(admin: Administration, scope: str) -> None:
    """No escalation: neither by making one, nor by rotating one into one's hands, nor by taking others' away."""
    operator, admin_client = admin.client("operator"), admin.client("admin")
    key = admin.book.key(scopes=["inference", scope])
    asked = {"tenant": "acme", "scopes": ["inference", scope]}
    for path, body in (("", asked), (f"/{key.id}/rotate", {"overlap": 60}), (f"/{key.id}/revoke", None)):
        before = len(admin.client("viewer").get("/v1/audit?limit=1000").json()["data"])
        refused = operator.post(f"/v1/keys{path}", json=body)
        enveloped(refused, 403, "insufficient_permissions")
        assert "admin" in refused.json()["error"]["message"]
        assert len(admin.client("viewer").get("/v1/audit?limit=1000").json()["data"]) == before
        assert admin_client.post(f"/v1/keys{path}", json=body).status_code in {200, 201}


def test_without_a_role_nobody_learns_what_there_is(admin: Administration) -> None:
    nobody, inference = admin.client(None), admin.client("inference")
    for path in ("/openapi.json", "/", "/v1", "/docs", "/v1/keys/", "/nothing", "/%00", "//v1/keys"):
        for method in ("GET", "POST", "OPTIONS", "DELETE", "HEAD"):
            answer = nobody.request(method, path)
            enveloped(answer, 401, "invalid_api_key")
            assert answer.headers["www-authenticate"] == 'Bearer realm="snowshed"'
            enveloped(inference.request(method, path), 403, "insufficient_permissions")


def test_a_key_in_a_cookie_in_the_url_or_in_another_scheme_is_none(admin: Administration) -> None:
    key = admin.keys["admin"].text
    nobody = admin.client(None)
    enveloped(nobody.get("/v1/whoami", headers={"cookie": f"authorization=Bearer {key}"}), 401, "invalid_api_key")
    enveloped(nobody.get(f"/v1/whoami?api_key={key}"), 401, "invalid_api_key")
    for scheme in ("Basic", "Token", "bearertoken"):
        enveloped(nobody.get("/v1/whoami", headers={"authorization": f"{scheme} {key}"}), 401, "invalid_api_key")
    preflight = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    answer = nobody.options("/v1/keys", headers=preflight)
    assert not [name for name in answer.headers if name.startswith("access-control")]
