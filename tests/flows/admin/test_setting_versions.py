"""Whole versions over HTTP: called at once, in every gateway of the database, over restarts, until they are cleared."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from loadtests.bench.processes import free_ports
from security.keys import NewKey
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.flows.keys.conftest import VARIABLE
from tests.support.databases import sqlite
from tests.support.envelopes import SECRET, enveloped
from tests.support.gateway import spawned_gateway
from tests.support.knocking import SOON, ask, seconds_until
from tests.support.stored import SOMEBODY, KeyBook
from tests.support.tiny_tokenizer import write_tiny_tokenizer

FILE: list[dict[str, Any]] = [{"name": "chat", "engine": "scripted", "replicas": [{"text": "the file's"}]}]
URL = "http://127.0.0.1:9/v1"
OPENAI = {"engine": "openai", "replicas": [{"url": URL}]}
ROUTING = [{"model": "chat", "aliases": ["talk"]}]


@pytest.fixture
def shared_book(database: str, monkeypatch: pytest.MonkeyPatch) -> KeyBook:
    """In either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    return KeyBook(database)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administration]:
    """For requests that come to nothing."""
    with administration(KeyBook(sqlite(tmp_path_factory.mktemp("book"))), FILE, ROUTING) as opened:
        yield opened


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


def test_another_process_follows_within_five_seconds(shared_book: KeyBook, tmp_path: Path) -> None:
    (port,) = free_ports(1)
    there = {**admin_tree(shared_book.url, port=port), "models": FILE}
    with administration(shared_book, FILE) as admin, spawned_gateway(there, tmp_path) as other:
        client, caller = admin.client(), admin.keys["inference"]
        assert client.put(at("new", "1"), json=entry("one")).status_code == 200
        assert seconds_until(lambda: said(other.url, caller, "new") == "new@1: one") < SOON
        assert client.put(at("new", "1"), json=entry("two")).status_code == 200
        assert seconds_until(lambda: said(other.url, caller, "new") == "new@1: two") < SOON
        assert client.delete(at("new", "1")).status_code == 200
        assert seconds_until(lambda: said(other.url, caller, "new") == "404") < SOON


def test_weights_and_drains_are_for_versions_that_were_set_as_for_others(
    book: KeyBook, caplog: pytest.LogCaptureFixture
) -> None:
    with administration(book, FILE) as admin:
        client, url, caller = admin.client(), admin.gateway.url, admin.keys["inference"]
        client.put(at("chat", "2"), json=entry("beside it", weight=0))
        assert said(url, caller) == "chat@1: the file's"
        client.put("/v1/models/chat/weights", json={"2": 1})
        assert said(url, caller) == "chat@2: beside it"
    with administration(book, FILE) as admin:
        client, url = admin.client(), admin.gateway.url
        assert said(url, caller) == "chat@2: beside it", "both, before the first request"
        assert "override left aside" not in caplog.messages
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


@pytest.mark.parametrize(
    ("place", "given", "status", "param"),
    [
        ("chat@2", entry("x", wieght=SECRET), 400, "wieght"),
        ("chat@2", {**OPENAI, "engine": SECRET}, 400, "engine"),
        ("chat@2", {"replicas": []}, 400, "engine"),
        ("chat@2", {**OPENAI, "replicas": [{"ulr": URL}]}, 400, "replicas.0.url"),
        ("chat@2", {**OPENAI, "replicas": [{"url": URL}, {"url": SECRET}]}, 400, "replicas.1.url"),
        ("chat@2", {**OPENAI, "replicas": [{"url": URL}, {"url": URL}]}, 400, "replicas.1"),
        ("chat@2", {**OPENAI, "replicas": [{"url": URL, "api_key": SECRET}]}, 400, "replicas.0.api_key"),
        ("chat@2", {**OPENAI, "replicas": [{"url": URL, "api_key": {"env": "HOME"}}]}, 400, "replicas.0.api_key"),
        ("chat@2", {**OPENAI, "replicas": [{"url": URL, "api_key": {"file": "/etc/passwd"}}]}, 400,
         "replicas.0.api_key"),
        ("chat@2", {"engine": "triton", "replicas": [{"url": "h:1", "chat_template": "/etc/passwd"}]}, 400,
         "replicas.0.chat_template"),
        ("chat@2", {"engine": "embedded"}, 400, "engine"),
        ("chat@2", {"engine": "tensorrt_llm", "replicas": [{"model": "/models/llama"}]}, 400, "engine"),
        ("chat@2", entry("x", weight="much"), 400, "weight"),
        ("chat@2", entry("x", weight=True), 400, "weight"),
        ("chat@1", entry("x", weight=0), 400, "weight"),
        ("chat@2", entry("x", name="chat"), 400, "name"),
        ("chat@2", {"engine": "triton", "replicas": [{"url": "h:1", "adapters": [{"name": "a", "id": 1}]}]}, 400, None),
        ("talk@1", entry("x"), 409, "routing.0.aliases.0"),
        ("ch%40at@1", entry("x"), 400, "name"),
        ("chat@a%3Ab", entry("x"), 400, "version"),
        ("chat@a%20b", entry("x"), 400, "version"),
        ("chat@2", {**OPENAI, "replicas": [{"url": URL}] * 5_000}, 413, None),
    ],
)  # fmt: skip
def test_p25_what_can_not_be_is_refused_whole(
    unchanged: Administration, place: str, given: dict[str, Any], status: int, param: str | None
) -> None:
    client = unchanged.client()
    before = shown(client), client.get("/v1/audit?limit=1000").json(), unchanged.gateway.objects.catalog.number
    codes = {400: "invalid_value", 409: "conflict", 413: "request_too_large"}
    enveloped(client.put(at(*place.split("@")), json=given), status, codes[status], param)
    assert (
        shown(client), client.get("/v1/audit?limit=1000").json(), unchanged.gateway.objects.catalog.number
    ) == before  # fmt: skip


def test_whoever_is_no_admin_is_told_so_before_anything_is_said_of_models(unchanged: Administration) -> None:
    client = unchanged.client("operator")
    for answer in (client.put(at("chat", "2"), json={"engine": SECRET}), client.delete(at("chat", "2"))):
        enveloped(answer, 403, "insufficient_permissions")
        assert "admin" in answer.json()["error"]["message"]


def test_what_another_release_or_another_file_allowed_is_left_aside_at_the_start(
    book: KeyBook, caplog: pytest.LogCaptureFixture
) -> None:
    """And can be taken back; it keeps neither the gateway nor what else was set from holding."""
    with administration(book, FILE) as admin:
        for model in ("new", "talk"):
            admin.client().put(at(model, "1"), json=entry(model))
        seen = {model: {"1": entry(model)} for model in ("new", "talk")}
    odd = {"engine": "of tomorrow"}
    book.do(lambda them: them.steering.set_version("chat", "1", odd, seen, by=SOMEBODY))
    caplog.clear()
    with administration(book, FILE, ROUTING) as admin:
        url, caller = admin.gateway.url, admin.keys["inference"]
        assert (said(url, caller), said(url, caller, "new")) == ("chat@1: the file's", "new@1: new")
        assert said(url, caller, "talk") == "chat@1: the file's", "which is the file's alias"
        told = [vars(one) for one in caplog.records if one.msg == "override left aside"]
        assert [(one["levelname"], one["model"]) for one in told] == [("ERROR", "chat@1"), ("ERROR", "talk@1")]
        assert "chat@1.engine: must be one of" in told[0]["reason"]
        assert "(talk@1)" in told[1]["reason"]
        for model in ("chat", "talk"):
            assert admin.client().delete(at(model, "1")).status_code == 200
        assert admin.client().put(at("chat", "1"), json=entry("set again")).status_code == 200
        assert said(url, caller) == "chat@1: set again"


def test_a_version_whose_replica_can_not_start_is_neither_kept_nor_served(book: KeyBook, tmp_path: Path) -> None:
    """The file's own has read the tokenizer that is broken since; the servers need not be there."""
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer")
    (port,) = free_ports(1)
    replica = {"url": f"127.0.0.1:{port}", "tokenizer": str(tokenizer)}
    with administration(book, [*FILE, {"name": "theirs", "engine": "triton", "replicas": [replica]}]) as admin:
        client = admin.client()
        assert client.put(at("chat", "2"), json={"engine": "triton", "replicas": [replica]}).status_code == 200
        (tokenizer / "tokenizer.json").write_text("no tokenizer")
        before = shown(client), client.get("/v1/audit?limit=1000").json()
        answer = client.put(at("chat", "3"), json={"engine": "triton", "replicas": [replica]})
        enveloped(answer, 409, "conflict")
        assert "Replica chat@3-0: The tokenizer or chat template can't be used" in answer.json()["error"]["message"]
        assert (shown(client), client.get("/v1/audit?limit=1000").json()) == before
