"""Versions are set over the admin API while requests go on and the file changes: no request and no change is lost."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx2
import pytest

from gateway.reloading import Source
from loadtests.prove.answers import Answer
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.support.asking import ask, body, text
from tests.support.databases import sqlite
from tests.support.envelopes import enveloped
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.reloaded import Crowd, replace
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE

SIZES = (5, 9)
"""Tokens that each of the two model servers answers with: from an answer it is seen who gave it."""


@pytest.fixture
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(2, "delay_ms=2") as running:
        for replica, tokens in zip(running.replicas, SIZES, strict=True):
            replica.set(tokens=tokens)
        yield running


class Stand:
    """A gateway with its file, which has `mock@1` on the first of the servers, and an administrator."""

    def __init__(self, admin: Administration, fleet: SpawnedFleet, file: Path) -> None:
        self.admin = admin
        self.fleet = fleet
        self.file = file
        self.client = admin.client()
        self.upstreams = admin.gateway.objects.upstreams

    def on(self, server: int, **settings: Any) -> dict[str, Any]:
        """A version on that server."""
        return {"engine": "openai", "replicas": [{"url": self.fleet.urls[server]}], **settings}

    def put(self, version: str, entry: dict[str, Any]) -> None:
        model, _, version = version.rpartition("@")
        answer = self.client.put(f"/v1/models/{model}/versions/{version}", json=entry)
        assert answer.status_code == 200, answer.text

    def delete(self, version: str) -> None:
        model, _, version = version.rpartition("@")
        answer = self.client.delete(f"/v1/models/{model}/versions/{version}")
        assert answer.status_code == 200, answer.text

    def reload(self, *models: dict[str, Any], **sections: Any) -> httpx2.Response:
        """Have the file say this, and read again."""
        replace(self.file, {**admin_tree(self.admin.book.url), "models": list(models), **sections})
        return self.client.post("/v1/reload")

    @property
    def labels(self) -> list[str]:
        return [spec.label for spec in self.upstreams.config.models]

    def caller(self) -> httpx2.Client:
        client = self.admin.stack.enter_context(self.admin.gateway.client())
        client.headers["authorization"] = f"Bearer {self.admin.keys['inference'].text}"
        return client


@pytest.fixture
def stand(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Stand]:
    book, file = KeyBook(sqlite(tmp_path)), tmp_path / "gateway.yaml"
    models = [{"name": "mock", "engine": "openai", "replicas": [{"url": fleet.urls[0]}]}]
    replace(file, {**admin_tree(book.url), "models": models})
    with administration(book, models, source=Source(file)) as admin:
        yield Stand(admin, fleet, file)


def version(answer: Answer) -> str:
    return answer.headers["x-model-version"]


def mock(stand: Stand, **settings: Any) -> dict[str, Any]:
    return {"name": "mock", **stand.on(0), **settings}


def test_thirty_versions_under_load_lose_no_request_and_leave_nothing_behind(stand: Stand) -> None:
    """In turn on one server and on the other; whoever is answered is answered by one of them, whole."""
    with Crowd(stand.admin.gateway, 6, stand.admin.keys["inference"]) as crowd:
        for turn in range(1, 31):
            stand.put("mock@1", stand.on(turn % 2, upstream=f"up-{turn % 2}"))
            assert stand.upstreams.config.models[0].upstream == f"up-{turn % 2}"
            crowd.wait_for(5)
        stand.delete("mock@1")
        crowd.wait_for(5)
    assert not crowd.broken
    assert len(crowd.answers) >= 150
    for answer in crowd.answers:
        assert answer.status == 200, answer
        assert answer.text in {text(tokens) for tokens in SIZES}
        assert answer.done or not answer.events
    assert {answer.text for answer in crowd.answers} == {text(tokens) for tokens in SIZES}
    stand.admin.gateway.wait_idle()
    stand.admin.gateway.wait_until(lambda: not stand.upstreams._leaving)
    assert len(stand.upstreams.replicas) == 1


def test_a_version_that_is_cleared_ends_its_streams(stand: Stand) -> None:
    stand.put("new@1", stand.on(1))
    server = stand.fleet.replicas[1]
    with ThreadPoolExecutor(1) as elsewhere:
        request = body("tokens=200,delay_ms=5", stream=True, model="new")
        streamed = elsewhere.submit(ask, stand.caller(), request)
        server.wait_for(lambda calls: any(call.first is not None for call in calls))
        stand.delete("new@1")
        assert ask(stand.caller(), body(model="new")).status == 404
        assert not streamed.done()
        assert streamed.result(PATIENCE).text == text(200)
    assert streamed.result().done
    stand.admin.gateway.wait_until(lambda: not stand.upstreams._leaving)
    stand.admin.gateway.wait_until(lambda: server.stats()["open_connections"] == 0)


def test_what_was_set_holds_over_each_file_that_goes_with_it(stand: Stand) -> None:
    caller = stand.caller()
    stand.put("mock@1", stand.on(1))
    stand.put("new@1", stand.on(1))
    done = stand.reload(mock(stand, max_tokens=7), {"name": "other", **stand.on(0)}).json()
    assert (done["added"], done["changed"], done["removed"]) == (["other@1"], ["mock@1"], []), "of the file alone"
    assert stand.labels == ["mock@1", "other@1", "new@1"]
    for name, server in (("mock", 1), ("other", 0), ("new", 1)):
        assert ask(caller, body(model=name)).text == text(SIZES[server])
    assert stand.reload(mock(stand, max_tokens=7), {"name": "other", **stand.on(0)}).json()["added"] == []
    assert stand.reload({"name": "other", **stand.on(0)}).json()["removed"] == ["mock@1"]
    assert stand.labels == ["other@1", "mock@1", "new@1"], "the file has lost it: it lies beside the others"
    stand.delete("mock@1")
    assert ask(caller, body()).status == 404
    assert stand.reload(mock(stand)).json()["removed"] == ["other@1"]
    assert ask(caller, body()).text == text(SIZES[0])


def test_a_file_that_does_not_go_with_what_was_set_is_refused_and_told_what(
    stand: Stand, caplog: pytest.LogCaptureFixture
) -> None:
    stand.put("new@1", stand.on(1))
    stand.put("mock@2", stand.on(1))
    number, expected = stand.upstreams.number, stand.labels
    answer = stand.reload(mock(stand), routing=[{"model": "mock", "aliases": ["new"]}])
    enveloped(answer, 409, "conflict")
    assert answer.json()["error"]["message"] == (
        "Nothing is changed: what was set over the admin API stands in the way (new@1): "
        "routing[0].aliases[0]: that name, or it with an adapter, is taken by new@1."
    )
    said = [vars(one)["reason"] for one in caplog.records if one.msg == "configuration not reloaded"]
    assert said
    assert all("stands in the way (new@1)" in reason for reason in said)
    assert (stand.upstreams.number, stand.labels) == (number, expected)
    assert ask(stand.caller(), body(model="new")).text == text(SIZES[1])
    stand.delete("new@1")
    assert stand.client.post("/v1/reload").status_code == 200
    assert stand.labels == ["mock@1", "mock@2"]


def test_a_secret_goes_with_what_was_set_as_long_as_it_is_used(stand: Stand, monkeypatch: pytest.MonkeyPatch) -> None:
    """By the file's own word: it has the reference no more, so nothing else may have it."""
    monkeypatch.setenv("THEIR_KEY", "sk-theirs")
    signed = {"replicas": [{"url": stand.fleet.urls[0], "api_key": {"env": "THEIR_KEY"}}]}
    elsewhere = {"engine": "openai", "replicas": [{"url": stand.fleet.urls[1], "api_key": {"env": "THEIR_KEY"}}]}
    enveloped(
        stand.client.put("/v1/models/mock/versions/2", json=elsewhere), 400, "invalid_value", "replicas.0.api_key"
    )
    assert stand.reload(mock(stand, **signed)).status_code == 200
    stand.put("mock@2", {**elsewhere, "weight": 1e6})
    assert ask(stand.caller(), body()).text == text(SIZES[1])
    assert stand.fleet.replicas[1].calls()[-1].header("authorization") == "Bearer sk-theirs"
    refused = stand.reload(mock(stand))
    enveloped(refused, 409, "conflict")
    assert "(mock@2)" in refused.json()["error"]["message"]


def test_reloads_and_versions_at_the_same_time_lose_nothing(stand: Stand) -> None:
    """Six administrators and a file that changes; what holds at the end is what all of them have said."""

    def set_and_clear(number: int) -> None:
        for turn in range(4):
            stand.put(f"own-{number}@{turn}", stand.on(turn % 2))
        for turn in range(0, 4, 2):
            stand.delete(f"own-{number}@{turn}")

    with ThreadPoolExecutor(6) as pool, Crowd(stand.admin.gateway, 2, stand.admin.keys["inference"]) as crowd:
        changes = [pool.submit(set_and_clear, number) for number in range(6)]
        turns = 0
        while not all(change.done() for change in changes):
            turns += 1
            models = [mock(stand, max_tokens=1000 + turns), {"name": "file", **stand.on(0, max_tokens=turns)}]
            assert stand.reload(*models).status_code == 200
        for change in changes:
            change.result()
        crowd.wait_for(1)
    assert not crowd.broken
    assert {answer.status for answer in crowd.answers} == {200}
    assert turns > 1
    assert stand.labels == ["mock@1", "file@1", *(f"own-{number}@{turn}" for number in range(6) for turn in (1, 3))]
    assert [spec.max_tokens for spec in stand.upstreams.config.models[:2]] == [1000 + turns, turns]
