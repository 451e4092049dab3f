"""Who waits for a version, and who was refused, as the admin listener and the metrics tell it while it happens."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import httpx2
import pytest

from security.keys import NewKey
from tests.flows.admin.conftest import admin_tree
from tests.support import plain
from tests.support.admin import admin_port, visiting
from tests.support.asking import body, request_bytes
from tests.support.databases import sqlite
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import RunningGateway, metric, running_gateway
from tests.support.knocking import code, headers
from tests.support.raw import RawClient
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(settings="service_ms=600000") as running:
        yield running


class Crowd:
    """Callers of a model with one place, of whom each waits until the block is left."""

    def __init__(self, gateway: RunningGateway, keys: dict[str, NewKey], stack: ExitStack) -> None:
        self.gateway = gateway
        self.keys = keys
        self._stack = stack

    def come(self, tenant: str, **named: str) -> None:
        client = self._stack.enter_context(RawClient(self.gateway.url))
        sent = {name: value.decode() for name, value in headers(self.keys[tenant]).items()}
        client.socket.sendall(
            request_bytes(body(), {**sent, **{name.replace("_", "-"): it for name, it in named.items()}})
        )

    def refused(self, tenant: str) -> tuple[int, str | None]:
        sent: Any = headers(self.keys[tenant])
        return code(plain.post(f"{self.gateway.url}/v1/chat/completions", json=body(), headers=sent, timeout=60))


@pytest.fixture
def crowd(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Crowd]:
    """A queue of eight, of which a tenant may take half, and class has as long as the test."""
    book = KeyBook(sqlite(tmp_path))
    for name, terms in {"acme": {"weight": 2}, "emca": {}, "ops": {"priority": 5}}.items():
        book.tenant(name, **terms)
    keys = {name: book.key(name) for name in ("acme", "emca")}
    keys["ops"] = book.key("ops", scopes=["inference", "viewer"])
    limits = {"limits": {"requests": 1}}
    tree = admin_tree(book.url)
    tree["models"] = [{"name": "mock", "engine": "openai", "replicas": [{"url": fleet.urls[0]}], **limits}]
    tree["admission"] = {
        "queue": 8, "tenant_share": 0.5, "start_within": {"critical": "10m", "standard": "10m", "batch": "10m"}
    }  # fmt: skip
    with running_gateway(tree) as gateway, ExitStack() as stack:
        yield Crowd(gateway, keys, stack)


def queue(client: httpx2.Client) -> dict[str, Any]:
    (seen,) = client.get("/v1/queues").json()["data"]
    assert isinstance(seen, dict)
    return seen


def test_those_who_wait_are_seen_by_class_and_tenant_and_those_refused_by_reason(crowd: Crowd) -> None:
    with visiting(admin_port(crowd.gateway), crowd.keys["ops"]) as client:
        assert queue(client)["requests"] == {"used": 0, "limit": 8}
        crowd.come("acme")
        wait_until(lambda: client.get("/v1/replicas").json()["data"][0], lambda seen: seen["in_flight"] == 1)
        for _ in range(3):
            crowd.come("acme")
        crowd.come("acme", x_priority="batch")
        crowd.come("emca")
        crowd.come("ops")
        wait_until(lambda: queue(client), lambda seen: seen["requests"]["used"] == 6)
        assert crowd.refused("acme") == (503, "overloaded")

        seen = queue(client)
        assert (seen["version"], seen["models"], seen["bytes"]["used"] > 0) == ("mock@1", ["mock"], True)
        classes = seen["classes"]
        assert {name: one["waiting"] for name, one in classes.items()} == {"critical": 1, "standard": 4, "batch": 1}
        assert classes["standard"]["tokens"] > classes["critical"]["tokens"] > 0
        assert {name: one["shed"] for name, one in classes.items() if one["shed"]} == {"standard": {"tenant_full": 1}}
        assert {(one["class"], one["tenant"], one["waiting"], one["ahead"]) for one in seen["tenants"]} == {
            ("critical", "ops", 1, 0), ("standard", "acme", 3, 0), ("standard", "emca", 1, 0), ("batch", "acme", 1, 0),
        }  # fmt: skip

        (replica,) = client.get("/v1/replicas").json()["data"]
        assert replica["limits"]["requests"] == {"used": 1, "limit": 1}
        assert replica["limits"]["kv_tokens"]["used"] == replica["tokens"] > 0

    text = plain.get(f"{crowd.gateway.ops_url}/metrics").text
    assert metric(text, "snowshed_queue_depth", version="mock@1", **{"class": "standard"}) == 4
    assert metric(text, "snowshed_shed_total", version="mock@1", reason="tenant_full", **{"class": "standard"}) == 1
    assert metric(text, "snowshed_replica_utilisation", replica="mock-0", limit="requests") == 1


def test_those_who_leave_are_gone_from_it_at_once(crowd: Crowd) -> None:
    with visiting(admin_port(crowd.gateway), crowd.keys["ops"]) as client:
        with ExitStack() as leaving:
            others = Crowd(crowd.gateway, crowd.keys, leaving)
            for _ in range(4):
                others.come("emca")
            wait_until(lambda: queue(client), lambda seen: seen["requests"]["used"] == 3)
        wait_until(lambda: queue(client), lambda seen: (seen["requests"]["used"], seen["tenants"]) == (0, []))


def test_what_a_token_takes_is_told_of_each_replica_once_something_has_ended_there(crowd: Crowd) -> None:
    with visiting(admin_port(crowd.gateway), crowd.keys["ops"]) as client:
        assert queue(client)["costs"] == {}
        sent: Any = headers(crowd.keys["acme"])
        asked = body("tokens=2,service_ms=10")
        assert plain.post(f"{crowd.gateway.url}/v1/chat/completions", json=asked, headers=sent).status_code == 200
        costs = wait_until(lambda: queue(client)["costs"])
        assert costs.keys() == {"mock-0"}
        assert costs["mock-0"].keys() == {"prompt_us", "answer_us"}
        assert min(costs["mock-0"].values()) > 0
