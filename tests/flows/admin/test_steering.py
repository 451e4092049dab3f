"""Weights and drains over HTTP: callers go where they say, in every gateway of the database, and after a restart."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx2
import pytest

from loadtests.bench.processes import free_ports
from security.keys import NewKey
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.flows.keys.conftest import VARIABLE
from tests.support.admin import visiting
from tests.support.databases import sqlite
from tests.support.envelopes import enveloped
from tests.support.gateway import spawned_gateway
from tests.support.knocking import SOON, ask, seconds_until
from tests.support.stored import KeyBook

VERSIONS: list[dict[str, Any]] = [
    {"name": "chat", "version": "1", "engine": "scripted"},
    {"name": "chat", "version": "2", "engine": "scripted", "weight": 0},
]
"""By the file everybody gets the first one."""
ONLY_THIRD = [{"name": "chat", "version": "3", "engine": "scripted"}]


@pytest.fixture
def shared_book(database: str, monkeypatch: pytest.MonkeyPatch) -> KeyBook:
    """In either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    return KeyBook(database)


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administration]:
    """With the versions of the file, for what changes nothing."""
    with administration(KeyBook(sqlite(tmp_path_factory.mktemp("book"))), VERSIONS) as opened:
        yield opened


def version(url: str, key: NewKey, model: str = "chat") -> str:
    """The one that answers."""
    answer = ask(url, key, model)
    return answer.headers.get("x-model-version", "") if answer.status_code == 200 else str(answer.status_code)


def seen(client: httpx2.Client) -> dict[str, tuple[float, str, bool]]:
    """Weight, where it was set, and whether it is drained, by version."""
    rows = client.get("/v1/models").json()["data"]
    return {row["version"]: (row["weight"], row["weight_from"], row["drained"]) for row in rows}


def test_weights_hold_over_the_file_and_over_a_restart_until_they_are_cleared(shared_book: KeyBook) -> None:
    with administration(shared_book, VERSIONS) as admin:
        client, url, caller = admin.client("operator"), admin.gateway.url, admin.keys["inference"]
        assert version(url, caller) == "chat@1"
        answer = client.put("/v1/models/chat/weights", json={"1": 0, "2": 5})
        assert [(row["version"], row["weight"]) for row in answer.json()["data"]] == [("1", 0), ("2", 5)]
        assert version(url, caller) == "chat@2"
    with administration(shared_book, VERSIONS) as admin:
        client, url = admin.client("operator"), admin.gateway.url
        assert version(url, caller) == "chat@2", "before anybody has looked at it"
        assert seen(client) == {"1": (0, "admin", False), "2": (5, "admin", False)}
        for _ in range(2):
            assert client.delete("/v1/models/chat/weights").status_code == 200
        assert (version(url, caller), seen(client)["2"]) == ("chat@1", (0, "file", False))
    with administration(shared_book, VERSIONS) as admin:
        assert version(admin.gateway.url, caller) == "chat@1"


def test_another_process_heeds_what_is_set_within_five_seconds(shared_book: KeyBook, tmp_path: Any) -> None:
    (port,) = free_ports(1)
    there = {**admin_tree(shared_book.url, port=port), "models": VERSIONS}
    with administration(shared_book, VERSIONS) as admin, spawned_gateway(there, tmp_path) as other:
        client, caller = admin.client("operator"), admin.keys["inference"]
        assert version(other.url, caller) == "chat@1"
        client.put("/v1/models/chat/weights", json={"2": 1})
        assert seconds_until(lambda: version(other.url, caller) == "chat@2") < SOON
        with visiting(port, admin.keys["operator"]) as elsewhere:
            elsewhere.post("/v1/models/chat/versions/2/drain")
        assert seconds_until(lambda: version(admin.gateway.url, caller) == "503") < SOON
        client.delete("/v1/models/chat/weights")
        assert seconds_until(lambda: version(other.url, caller) == "chat@1") < SOON


def test_a_drained_version_gets_nobody_by_weight_by_rule_or_by_pin(book: KeyBook) -> None:
    routing = [{"model": "chat", "rules": [{"version": "2", "tenants": ["ruled"]}]}]
    both = [{**spec, "weight": 1} for spec in VERSIONS]
    book.tenant("ruled")
    ruled, pinning = book.key("ruled"), book.key("ruled", scopes=["inference", "routing"])
    with administration(book, both, routing) as admin:
        client, url = admin.client("operator"), admin.gateway.url
        callers = [admin.keys["inference"], *(admin.book.key() for _ in range(7)), ruled]
        assert version(url, ruled) == version(url, pinning, "chat@2") == "chat@2"
        for _ in range(2):
            assert client.post("/v1/models/chat/versions/2/drain").status_code == 200
        assert {version(url, caller) for caller in callers} == {"chat@1"}
        assert version(url, pinning, "chat@2") == "503"
        replica = {row["name"]: row for row in client.get("/v1/replicas").json()["data"]}["chat@2-0"]
        assert (replica["drained"], replica["ready"], replica["reason"]) == (True, False, "draining")
        enveloped(client.post("/v1/replicas/chat@2-0/restore"), 409, "conflict", "replica")
        assert client.post("/v1/models/chat/versions/2/restore").status_code == 200
        assert version(url, ruled) == version(url, pinning, "chat@2") == "chat@2"
        trail = client.get("/v1/audit?object=chat@2").json()["data"]
    assert [(one["action"], one["kind"], one["after"]) for one in trail] == [
        ("drain", "version", {"drained": True}),
        ("restore", "version", {"drained": False}),
    ]


def test_what_names_a_version_that_the_file_has_not_is_left_aside_with_a_warning(
    book: KeyBook, caplog: pytest.LogCaptureFixture
) -> None:
    """In the gateway with that file; another one may have another."""
    with administration(book, VERSIONS) as admin:
        client, caller = admin.client("operator"), admin.keys["inference"]
        client.put("/v1/models/chat/weights", json={"2": 5})
        client.post("/v1/models/chat/versions/1/drain")
    caplog.clear()
    with administration(book, ONLY_THIRD) as admin:
        assert version(admin.gateway.url, caller) == "chat@3"
        assert seen(admin.client("viewer")) == {"3": (1, "file", False)}
        said = [(one.levelname, one.kind, one.model) for one in caplog.records if one.msg == "override left aside"]  # type: ignore[attr-defined]
        assert sorted(said) == [("WARNING", "drained", "chat"), ("WARNING", "weights", "chat")]
    with administration(book, VERSIONS) as admin:
        assert version(admin.gateway.url, caller) == "chat@2"


@pytest.mark.parametrize(
    ("weights", "param"),
    [
        ("{}", None),
        ('{"1": 0, "2": 0}', None),
        ("[1, 2]", None),
        ('{"1": -1, "2": 5}', "1"),
        ('{"1": 1, "2": NaN}', "2"),
        ('{"1": 1, "2": Infinity}', "2"),
        ('{"1": 1, "2": 1e308}', "2"),
        ('{"1": 1, "2": "5"}', "2"),
        ('{"1": 1, "2": true}', "2"),
        ('{"1": 1, "2": null}', "2"),
    ],
)
def test_p25_weights_that_do_not_suit_are_refused_whole(
    lasting: Administration, weights: str, param: str | None
) -> None:
    client = lasting.client("operator")
    before, trail = seen(client), client.get("/v1/audit").json()
    answer = client.put("/v1/models/chat/weights", content=weights, headers={"content-type": "application/json"})
    enveloped(answer, 400, "invalid_value", param)
    for unknown, named in (("3", "3"), ("a\nb", r"a\nb")):
        answer = client.put("/v1/models/chat/weights", json={"1": 1, unknown: 5})
        enveloped(answer, 404, "not_found", named)
    assert (seen(client), client.get("/v1/audit").json()) == (before, trail)


def test_the_trail_has_the_weights_before_and_after(book: KeyBook) -> None:
    with administration(book, VERSIONS) as admin:
        client = admin.client("operator")
        for weights in ({"1": 95, "2": 5}, {"2": 1}):
            client.put("/v1/models/chat/weights", json=weights)
        client.delete("/v1/models/chat/weights")
        trail = client.get("/v1/audit?object=chat").json()["data"]
        assert {(one["actor"], one["address"]) for one in trail} == {(admin.keys["operator"].id, "127.0.0.1")}
    assert [(one["action"], one["before"], one["after"]) for one in trail] == [
        ("set", None, {"1": 95, "2": 5}),
        ("set", {"1": 95, "2": 5}, {"2": 1}),
        ("clear", {"2": 1}, {}),
    ]
