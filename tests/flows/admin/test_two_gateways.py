"""What is changed through one gateway holds in every other of the same database within five seconds."""

from __future__ import annotations

from security.keys import NewKey
from tests.flows.admin.conftest import Administration, admin_tree
from tests.support.admin import admin_port, visiting
from tests.support.gateway import running_gateway
from tests.support.knocking import SOON, ask, seconds_until


def test_a_key_made_and_revoked_next_door(shared_admin: Administration) -> None:
    here = shared_admin.client("admin")
    with running_gateway(admin_tree(shared_admin.book.url)) as other:
        made = here.post("/v1/keys", json={"tenant": "acme", "scopes": ["inference", "viewer"]}).json()
        with visiting(admin_port(other), NewKey(made["id"], made["key"])) as there:
            assert there.get("/v1/whoami").json()["key_id"] == made["id"]
            assert ask(other.url, made["key"]).status_code == 200
            assert here.post(f"/v1/keys/{made['id']}/revoke").status_code == 200
            assert seconds_until(lambda: there.get("/v1/whoami").status_code == 401) < SOON
            assert seconds_until(lambda: ask(other.url, made["key"]).status_code == 401) < SOON
