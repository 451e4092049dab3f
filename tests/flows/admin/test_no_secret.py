"""P32 for the admin listener: a key is in the one answer that makes it, and other secrets are in none."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from loadtests.bench.processes import free_ports
from security.keys import NewKey, mint
from tests.flows.admin.conftest import admin_tree
from tests.flows.admin.routes import ROUTES
from tests.support import plain
from tests.support.admin import visiting
from tests.support.gateway import spawned_gateway
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE, wait_until

PASSWORD, API_KEY = "snowblind-7f3a", "sk-upstream-4c1d"


def files(folder: Path) -> Iterator[bytes]:
    for path in folder.rglob("*"):
        if path.is_file():
            yield path.read_bytes()


def everything(client: httpx2.Client, key_id: str) -> Iterator[bytes]:
    """Every answer to whoever has this client's key, good or bad; those that make a key are left out."""
    for route in ROUTES:
        if route.path == "/v1/keys" and route.method == "POST":
            continue
        for body in (route.body, {"key": client.headers["authorization"]}):
            if route.path.endswith("/rotate") and body is route.body:
                continue
            answer = client.request(route.method, route.at(key_id), json=body)
            yield answer.content + str(answer.headers).encode()


def test_p32_no_secret_anywhere(tmp_path: Path, book: KeyBook, monkeypatch: pytest.MonkeyPatch) -> None:
    """P32: keys of every role, one made, one rotated, revoked and invented ones; at the log level debug."""
    book.tenant()
    port, dead = free_ports(2)
    monkeypatch.setenv("RATES", f"redis://:{PASSWORD}@127.0.0.1:{dead}/0")
    monkeypatch.setenv("UPSTREAM", API_KEY)
    tree = admin_tree(book.url, port=port, rate_store={"env": "RATES"})
    replica = {"url": f"http://127.0.0.1:{dead}/v1", "api_key": {"env": "UPSTREAM"}}
    tree["models"] = [*tree["models"], {"name": "far", "engine": "openai", "replicas": [replica]}]
    keys = [book.key(scopes=[scope]) for scope in ("inference", "viewer", "operator", "admin")]
    said: list[bytes] = []
    with spawned_gateway(tree, tmp_path, module="tests.support.loud_gateway") as gateway:
        wait_until(lambda: b"admin listener open" in gateway.errors.read_bytes())
        with visiting(port, keys[-1]) as client:
            made = client.post("/v1/keys", json={"tenant": "acme", "scopes": ["admin"]}).json()
            turned = client.post(f"/v1/keys/{made['id']}/rotate", json={"overlap": 60}).json()
        keys += [NewKey(one["id"], one["key"]) for one in (made, turned)]
        revoked, invented = book.key(scopes=["admin"]), mint()
        book.revoke(revoked)
        keys += [revoked, invented, NewKey(keys[3].id, f"sk-snow-{keys[3].id}-{invented.text[-40:]}")]
        for key in keys:
            with visiting(port, key) as client:
                said += everything(client, keys[0].id)
        for path in ("/metrics", "/readyz"):
            said.append(plain.get(gateway.ops_url + path).content)
        said.append(Path(f"/proc/{gateway.pid}/cmdline").read_bytes())
        gateway.terminate()
        gateway.wait(PATIENCE)
    said += files(tmp_path)  # the database and its journal, the log, what it said of itself
    assert any(keys[1].id.encode() in one for one in said)
    secrets = [key.text[-40:].encode() for key in keys] + [PASSWORD.encode(), API_KEY.encode()]
    digests = [hashlib.sha256(key.text.encode()).hexdigest().encode() for key in keys]
    assert not [(secret, one[:80]) for secret in secrets + digests for one in said if secret in one]
