"""Tenants and keys over HTTP: what is changed holds, is listed by pages, and is in the audit trail with its author."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import httpx2

from security.keys import NewKey
from tests.flows.admin.conftest import Administration
from tests.support.admin import visiting
from tests.support.knocking import ask
from tests.support.raw import RawClient
from tests.support.waiting import wait_until


def pages(client: httpx2.Client, path: str, limit: int) -> Iterator[list[dict[str, Any]]]:
    after: Any = None
    while True:
        answer = client.get(path, params={"limit": limit, **({"after": after} if after is not None else {})})
        assert answer.status_code == 200, answer.text
        found = answer.json()
        assert set(found) == {"data", "next"}
        yield found["data"]
        if (after := found["next"]) is None:
            return


def test_a_tenant_from_its_making_to_other_terms(shared_admin: Administration) -> None:
    client = shared_admin.client("operator")
    made = client.post("/v1/tenants", json={"name": "snow", "plan": "gold", "models": ["mock"]})
    assert made.status_code == 201
    tenant = made.json()
    assert abs(tenant.pop("created") - time.time()) < 60
    assert tenant == {"name": "snow", "plan": "gold", "weight": 1, "priority": 0, "models": ["mock"]}
    changed = client.patch("/v1/tenants/snow", json={"weight": 7, "models": None}).json()
    assert changed == {**made.json(), "weight": 7, "models": None}
    assert client.get("/v1/tenants/snow").json() == changed


def test_a_key_is_made_used_rotated_and_revoked(shared_admin: Administration) -> None:
    """Each step over HTTP, as a pod has no database shell; callers see what it comes to."""
    client, url = shared_admin.client("operator"), shared_admin.gateway.url
    terms = {"tenant": "acme", "label": "ci ❄", "models": ["mock"], "expires_in": 3600}
    made = client.post("/v1/keys", json=terms)
    assert (made.status_code, made.headers["cache-control"]) == (201, "no-store")
    key = made.json()
    first = NewKey(key["id"], key.pop("key"))
    assert key["expires"] - key["created"] == 3600
    assert key == client.get(f"/v1/keys/{first.id}").json()
    assert (ask(url, first).status_code, ask(url, first, "other").status_code) == (200, 404)

    rotated = client.post(f"/v1/keys/{first.id}/rotate", json={"overlap": 0})
    second = NewKey(rotated.json()["id"], rotated.json()["key"])
    assert (rotated.status_code, ask(url, second).status_code) == (201, 200)
    wait_until(lambda: ask(url, first).status_code, lambda status: status == 401)

    revoked = client.post(f"/v1/keys/{second.id}/revoke")
    assert (revoked.status_code, "key" in revoked.json()) == (200, False)
    wait_until(lambda: ask(url, second).status_code, lambda status: status == 401)


def test_what_lists_hold_comes_page_by_page(shared_admin: Administration) -> None:
    client, book = shared_admin.client("viewer"), shared_admin.book
    for number in range(5):
        book.tenant(f"t{number}")
    ids = sorted([key.id for key in shared_admin.keys.values()] + [book.key("t1").id for _ in range(3)])
    names = ["acme", *(f"t{number}" for number in range(5))]
    for limit in (1, 2, 3, 100, 1000):
        assert [one["name"] for page in pages(client, "/v1/tenants", limit) for one in page] == names
        assert [one["id"] for page in pages(client, "/v1/keys", limit) for one in page] == ids
        entries = [one for page in pages(client, "/v1/audit", limit) for one in page]
        assert [one["id"] for one in entries] == sorted({one["id"] for one in entries})
        assert len(entries) == len(names) + len(ids)
        assert all(len(page) <= limit for page in pages(client, "/v1/keys", limit))
    assert len(client.get("/v1/keys?tenant=t1").json()["data"]) == 3
    assert client.get("/v1/keys?tenant=absent").json() == {"data": [], "next": None}


def test_the_trail_says_who_changed_what_and_from_where(shared_admin: Administration) -> None:
    """Also for a change that was asked for twice, or that came to nothing: only what was changed is there."""
    operator, viewer = shared_admin.keys["operator"], shared_admin.client("viewer")
    begin = viewer.get("/v1/audit?limit=1000").json()["data"][-1]["id"]
    with visiting(shared_admin.port, operator) as client:
        client.post("/v1/tenants", json={"name": "snow"})
        client.patch("/v1/tenants/snow", json={"weight": 7})
        key = client.post("/v1/keys", json={"tenant": "snow"}).json()
        refused = [
            client.post("/v1/tenants", json={"name": "snow"}),
            client.post("/v1/keys", json={"tenant": "snow", "scopes": ["admin"]}),
            client.patch("/v1/tenants/absent", json={"weight": 7}),
        ]
        assert [one.status_code for one in refused] == [409, 403, 404]
        for _ in range(2):
            client.post(f"/v1/keys/{key['id']}/revoke")
    entries = viewer.get(f"/v1/audit?after={begin}").json()["data"]
    assert [(one["action"], one["kind"], one["object"]) for one in entries] == [
        ("create", "tenant", "snow"),
        ("change", "tenant", "snow"),
        ("create", "key", key["id"]),
        ("revoke", "key", key["id"]),
    ]
    assert {(one["actor"], one["address"]) for one in entries} == {(operator.id, "127.0.0.1")}
    assert (entries[0]["before"], entries[1]["before"]["weight"], entries[1]["after"]["weight"]) == (None, 1, 7)
    assert viewer.get(f"/v1/audit?object={key['id']}").json()["data"] == entries[2:]


def test_a_key_that_ends_while_its_body_is_on_the_way_changes_nothing(admin: Administration) -> None:
    """Else whoever had it could hold requests back, and make a key after it was revoked."""
    ruler, client = admin.keys["operator"], admin.client()
    body = b'{"name": "late"}'
    head = (
        f"POST /v1/tenants HTTP/1.1\r\nhost: localhost\r\nauthorization: Bearer {ruler.text}\r\n"
        f"content-type: application/json\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    held = admin.stack.enter_context(RawClient(f"http://127.0.0.1:{admin.port}"))
    held.socket.sendall(head.encode() + body[:3])
    assert client.post(f"/v1/keys/{ruler.id}/revoke").status_code == 200
    sent = {"authorization": f"Bearer {ruler.text}"}
    wait_until(lambda: client.get("/v1/whoami", headers=sent).status_code, lambda status: status == 401)
    held.socket.sendall(body[3:])
    assert held.until(b"\r\n").startswith(b"HTTP/1.1 401 ")
    assert client.get("/v1/tenants/late").status_code == 404
