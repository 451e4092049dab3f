"""P25 for the admin listener: whatever goes wrong on whichever route, the envelope names what, and repeats nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.flows.admin.conftest import Administration
from tests.flows.admin.routes import ROUTES
from tests.support.envelopes import SECRET, enveloped

JSON = {"content-type": "application/json"}
CHANGES = [route for route in ROUTES if route.body is not None]


OF_NOTHING = [
    ("DELETE", "models/absent/weights", "model"),
    ("DELETE", "models/mock:adapter/weights", "model"),
    ("PUT", "models/a/b/weights", "model"),
    ("DELETE", "models/mock/versions/1", "version"),
    ("POST", "models/absent/versions/1/drain", "model"),
    ("POST", "models/mock/versions/2/drain", "version"),
    ("POST", "models/mock/versions/2/restore", "version"),
    *(("POST", f"replicas/mock-1/{action}", "replica") for action in ("drain", "eject", "restore")),
]
"""Models, versions and replicas that there are not."""


def test_p25_what_is_not_there_and_what_it_does_not_take(admin: Administration) -> None:
    client = admin.client()
    for route in ROUTES:
        taken = ("/weights", "/{version}", "/{plan}", "/overrides/tenants/{name}", "/overrides/keys/{key_id}")
        other = "PATCH" if route.path.endswith(taken) else "DELETE"
        enveloped(client.request(other, route.at()), 405, "method_not_allowed")
        below = client.request(route.method, f"{route.at()}/{SECRET}/{SECRET}")
        if not any(names in route.path for names in ("/limits/", "/overrides/keys/")):  # which may hold slashes
            enveloped(below, 404, "unknown_url")
    for path in (SECRET, "%F0%9F", "a%00b", admin.keys["admin"].text):
        enveloped(client.get(f"/v1/keys/{path}"), 400, "invalid_value", "key_id")
    for path in ("%ff", "a%00b", "a" * 65):
        enveloped(client.get(f"/v1/tenants/{path}"), 400, "invalid_value", "name")
    for path in ("%ff", "a%00b", "a" * 129):
        enveloped(client.get(f"/v1/limits/{path}"), 400, "invalid_value", "name")
    for path in ("absent", admin.keys["admin"].text, f"acme/{SECRET}"):
        enveloped(client.get(f"/v1/limits/{path}"), 404, "not_found", "name")
    enveloped(client.get("/v1/keys/000000000000"), 404, "not_found", "id")
    enveloped(client.get("/v1/tenants/absent"), 404, "not_found", "tenant")
    for path in ("revoke", "rotate"):
        enveloped(client.post(f"/v1/keys/000000000000/{path}", json={"overlap": 5}), 404, "not_found", "id")
    enveloped(client.patch("/v1/tenants/absent", json={"weight": 5}), 404, "not_found", "tenant")
    enveloped(client.post("/v1/keys", json={"tenant": "absent"}), 404, "not_found", "tenant")
    enveloped(client.get("/v1/requests/req_0"), 404, "not_found", "request_id")
    enveloped(client.get("/v1/requests/a%20b"), 400, "invalid_value", "request_id")
    for method, path, param in OF_NOTHING:
        enveloped(client.request(method, f"/v1/{path}", json={"seconds": 1}), 404, "not_found", param)


def test_p25_what_stands_against_it(admin: Administration) -> None:
    client, ended = admin.client(), admin.book.key()
    admin.book.revoke(ended)
    enveloped(client.post("/v1/tenants", json={"name": "acme"}), 409, "conflict", "name")
    enveloped(client.post(f"/v1/keys/{ended.id}/rotate", json={"overlap": 0}), 409, "conflict", "id")
    again = client.post(f"/v1/keys/{ended.id}/revoke")
    assert (again.status_code, again.json()["revoked"]) == (200, client.get(f"/v1/keys/{ended.id}").json()["revoked"])


DEEP = "[" * 30_000
BODIES: list[bytes | str] = [
    b"", "{", DEEP, '{"a":' * 9_000, b"\xff", b"\x00", "nul", '{"weight": 1e', "[1,]", "{'a': 1}", "9" * 5_000,
    b"\xfe\xff\x00",
]  # fmt: skip
VALUES: list[Any] = ["[]", "5", "null", '"text"', "true", '{"a\\ud800": {}}', '{"\\u0000": {}}']


def test_p25_bodies_that_are_none(admin: Administration) -> None:
    client = admin.client()
    for route in CHANGES:
        for body in BODIES:
            answer = client.request(route.method, route.at(), content=body, headers=JSON)
            assert answer.status_code == 400, (str(route), body[:20], answer.text)
            enveloped(answer, 400, "invalid_json" if body else "invalid_value")
        for value in VALUES:
            answer = client.request(route.method, route.at(), content=value, headers=JSON)
            assert answer.status_code == 400, (str(route), value, answer.text)
            enveloped(answer, 400, "invalid_value", answer.json()["error"]["param"])
        for kind in (None, "text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
            headers = {"content-type": kind} if kind else {}
            answer = client.request(route.method, route.at(), content=json.dumps(route.body), headers=headers)
            enveloped(answer, 415, "unsupported_content_type")
        large = json.dumps({"x": SECRET * 10_000})
        enveloped(client.request(route.method, route.at(), content=large, headers=JSON), 413, "request_too_large")
        chunks = (piece.encode() for piece in (large[:5_000], large[5_000:]))
        answer = client.request(route.method, route.at(), content=chunks, headers=JSON)
        enveloped(answer, 413, "request_too_large")


@pytest.mark.parametrize(
    ("path", "body", "param"),
    [
        ("tenants", {}, "name"),
        ("tenants", {"name": ""}, "name"),
        ("tenants", {"name": f"a/{SECRET}"}, "name"),
        ("tenants", {"name": "a" * 65}, "name"),
        ("tenants", {"name": "a\n"}, "name"),
        ("tenants", {"name": "a", "plan": "'; DROP TABLE keys; --"}, "plan"),
        ("tenants", {"name": "a", "weight": 0}, "weight"),
        ("tenants", {"name": "a", "weight": 1 << 70}, "weight"),
        ("tenants", {"name": "a", "weight": "5"}, "weight"),
        ("tenants", {"name": "a", "weight": 1.5}, "weight"),
        ("tenants", {"name": "a", "weight": True}, "weight"),
        ("tenants", {"name": "a", "weight": None}, "weight"),
        ("tenants", {"name": "a", "priority": 101}, "priority"),
        ("tenants", {"name": "a", "priority": -101}, "priority"),
        ("tenants", {"name": "a", "models": SECRET}, "models"),
        ("tenants", {"name": "a", "models": ["a b"]}, "models.0"),
        ("tenants", {"name": "a", "models": [None]}, "models.0"),
        ("tenants", {"name": "a", "created": 5}, "created"),
        ("tenants", {"name": "a", "wieght": SECRET}, "wieght"),
        ("keys", {}, "tenant"),
        ("keys", {"tenant": ["acme"]}, "tenant"),
        ("keys", {"tenant": "acme", "label": "a" * 129}, "label"),
        ("keys", {"tenant": "acme", "label": "a\u0000b"}, "label"),
        ("keys", {"tenant": "acme", "label": "\ud800"}, "label"),
        ("keys", {"tenant": "acme", "scopes": []}, "scopes"),
        ("keys", {"tenant": "acme", "scopes": None}, "scopes"),
        ("keys", {"tenant": "acme", "scopes": [SECRET]}, "scopes.0"),
        ("keys", {"tenant": "acme", "scopes": ["viewer", "viewer"]}, "scopes"),
        ("keys", {"tenant": "acme", "expires_in": 0}, "expires_in"),
        ("keys", {"tenant": "acme", "expires_in": 10**12}, "expires_in"),
        ("keys", {"tenant": "acme", "expires_in": 1e308}, "expires_in"),
        ("keys", {"tenant": "acme", "id": "0" * 12}, "id"),
    ],
)  # fmt: skip
def test_p25_a_field_that_does_not_suit_is_named(
    lasting_admin: Administration, path: str, body: Any, param: str
) -> None:
    client = lasting_admin.client()
    answer = client.post(f"/v1/{path}", content=json.dumps(body), headers=JSON)
    enveloped(answer, 400, "invalid_value", param)
    assert answer.json()["error"]["message"].startswith((f"{param}: ", "A scope "))


@pytest.mark.parametrize(
    ("query", "param"),
    [
        ("keys?limit=0", "limit"),
        ("keys?limit=1001", "limit"),
        ("tenants?limit=-1", "limit"),
        (f"tenants?limit={SECRET}", "limit"),
        ("keys?after=" + "a" * 258, "after"),
        ("keys?tenant=" + "a" * 65, "tenant"),
        ("audit?after=-1", "after"),
        ("audit?after=9223372036854775808", "after"),
        ("audit?limit=1e3", "limit"),
        ("audit?object=" + "a" * 301, "object"),
        ("events?after=-1", "after"),
        ("events?since=1", "since"),
        ("keys?lmit=5", "lmit"),
        ("tenants?a%00b=1", r"a\x00b"),
    ],
)
def test_p25_a_parameter_that_does_not_suit_is_named(lasting_admin: Administration, query: str, param: str) -> None:
    answer = lasting_admin.client().get(f"/v1/{query}")
    assert answer.status_code == 400, answer.text
    enveloped(answer, 400, "invalid_value", param)
