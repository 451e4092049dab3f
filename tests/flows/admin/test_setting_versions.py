"""Whole versions over HTTP: called at once, in every gateway of the database, over restarts, until they are cleared."""

from __future__ import annotations

from typing import Any

import httpx2
import pytest

from loadtests.bench.processes import free_ports
from security.keys import NewKey
from tests.flows.admin.conftest import admin_tree, administration
from tests.flows.keys.conftest import VARIABLE
from tests.support.envelopes import enveloped
from tests.support.gateway import spawned_gateway
from tests.support.knocking import ask, seconds_until
from tests.support.stored import KeyBook

FILE: list[dict[str, Any]] = [{"name": "chat", "engine": "scripted", "replicas": [{"text": "the file's"}]}]


@pytest.fixture
def shared_book(database: str, monkeypatch: pytest.MonkeyPatch) -> KeyBook:
    """In either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    return KeyBook(database)


def entry(text: str, **settings: Any) -> dict[str, Any]:
    return {"engine": "scripted", "replicas": [{"text": text}], **settings}


def at(model: str, version: str) -> str:
    return f"/v1/models/{model}/versions/{version}"


def said(url: str, key: NewKey, model: str = "chat") -> str:
    """By whom, and what."""
    answer = ask(url, key, model)
    if answer.status_code != 200:
        return str(answer.status_code)
    return f"{answer.headers['x-model-version']}: {answer.json()['choices'][0]['message']['content']}"


def shown(client: httpx2.Client) -> dict[str, tuple[str, float, str]]:
    """Of each version who said it, what it weighs, and who said that."""
    rows = client.get("/v1/models").json()["data"]
    return {f"{row['name']}@{row['version']}": (row["set_by"], row["weight"], row["weight_from"]) for row in rows}


def test_what_is_set_is_called_at_once_and_after_a_restart_until_it_is_cleared(shared_book: KeyBook) -> None:
    """A version in the place of the file's, one beside it, and a model that the file has not."""
    with administration(shared_book, FILE) as admin:
        client, url, caller = admin.client(), admin.gateway.url, admin.keys["inference"]
        assert said(url, caller) == "chat@1: the file's"
        assert client.put(at("chat", "1"), json=entry("over it", weight=0)).status_code == 400
        assert client.put(at("chat", "2"), json=entry("beside it")).status_code == 200
        assert client.put(at("chat", "1"), json=entry("over it", weight=0)).status_code == 200
        assert said(url, caller) == "chat@2: beside it"
        answer = client.put(at("org/new", "1"), json=entry("new"))
        assert [(row["name"], row["set_by"]) for row in answer.json()["data"]] == [("org/new", "admin")]
        assert said(url, caller, "org/new") == "org/new@1: new"
        running = client.get("/v1/config").json()["models"]
        assert [model["replicas"][0]["text"] for model in running] == ["over it", "beside it", "new"]
    for _ in range(2):
        with administration(shared_book, FILE) as admin:
            client, url = admin.client(), admin.gateway.url
            assert (said(url, caller), said(url, caller, "org/new")) == ("chat@2: beside it", "org/new@1: new")
            assert shown(client) == {
                "chat@1": ("admin", 0, "admin"), "chat@2": ("admin", 1, "admin"), "org/new@1": ("admin", 1, "admin"),
            }  # fmt: skip
    with administration(shared_book, FILE) as admin:
        client, url = admin.client(), admin.gateway.url
        enveloped(client.delete(at("chat", "2")), 409, "conflict", "chat@1.weight")
        assert said(url, caller) == "chat@2: beside it", "else nobody would get anything"
        for model, version in (("chat", "1"), ("chat", "2"), ("org/new", "1")):
            assert client.delete(at(model, version)).status_code == 200
            enveloped(client.delete(at(model, version)), 404, "not_found", "version")
        assert shown(client) == {"chat@1": ("file", 1, "file")}
        assert (said(url, caller), said(url, caller, "org/new")) == ("chat@1: the file's", "404")
    with administration(shared_book, FILE) as admin:
        assert said(admin.gateway.url, caller) == "chat@1: the file's"


def test_another_process_follows_within_five_seconds(shared_book: KeyBook, tmp_path: Any) -> None:
    (port,) = free_ports(1)
    there = {**admin_tree(shared_book.url, port=port), "models": FILE}
    with administration(shared_book, FILE) as admin, spawned_gateway(there, tmp_path) as other:
        client, caller = admin.client(), admin.keys["inference"]
        assert client.put(at("new", "1"), json=entry("one")).status_code == 200
        assert seconds_until(lambda: said(other.url, caller, "new") == "new@1: one") < 5
        assert client.put(at("new", "1"), json=entry("two")).status_code == 200
        assert seconds_until(lambda: said(other.url, caller, "new") == "new@1: two") < 5
        assert client.delete(at("new", "1")).status_code == 200
        assert seconds_until(lambda: said(other.url, caller, "new") == "404") < 5


def test_weights_and_drains_are_for_versions_that_were_set_as_for_others(book: KeyBook) -> None:
    with administration(book, FILE) as admin:
        client, url, caller = admin.client(), admin.gateway.url, admin.keys["inference"]
        client.put(at("chat", "2"), json=entry("beside it", weight=0))
        assert said(url, caller) == "chat@1: the file's"
        client.put("/v1/models/chat/weights", json={"2": 1})
        assert said(url, caller) == "chat@2: beside it"
    with administration(book, FILE) as admin:
        client, url = admin.client(), admin.gateway.url
        assert said(url, caller) == "chat@2: beside it", "both, before the first request"
        client.put(at("chat", "3"), json=entry("a third"))
        assert shown(client)["chat@3"] == ("admin", 0, "admin"), "weights that were set leave no room for others"
        client.delete("/v1/models/chat/weights")
        client.post(at("chat", "1") + "/drain")
        client.post(at("chat", "3") + "/drain")
        assert said(url, caller) == "503", "nothing else weighs anything"


def test_the_trail_has_each_entry_before_and_after(shared_book: KeyBook) -> None:
    one, two = entry("one"), entry("two", max_tokens=7)
    with administration(shared_book, FILE) as admin:
        client = admin.client()
        for given in (one, one, two):  # the second changes nothing
            assert client.put(at("chat", "2"), json=given).status_code == 200
        client.put(at("chat", "2"), json={"engine": "embedded"})
        client.delete(at("chat", "2"))
        trail = client.get("/v1/audit?object=chat@2").json()["data"]
        assert {(each["actor"], each["address"]) for each in trail} == {(admin.keys["admin"].id, "127.0.0.1")}
    assert [(each["action"], each["kind"], each["before"], each["after"]) for each in trail] == [
        ("set", "version", None, one),
        ("set", "version", one, two),
        ("clear", "version", two, {}),
    ]
