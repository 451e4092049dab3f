"""Versions and replicas steered from a shell, through the admin listener of a running gateway."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.reloading import Source
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.support import plain
from tests.support.command_line import complaint, snowshed
from tests.support.databases import sqlite
from tests.support.knocking import QUESTION, ask, headers
from tests.support.stored import KeyBook
from tests.support.waiting import wait_until

MODELS = [{"name": "chat", "version": version, "engine": "scripted"} for version in ("1", "2")]


class Desk:
    """Where somebody types commands with an operator's key."""

    def __init__(self, admin: Administration, file: Path, role: str = "operator") -> None:
        self.admin = admin
        self.file = file
        url = f"http://127.0.0.1:{admin.port}"
        self._environment = {"SNOWSHED_ADMIN_URL": url, "SNOWSHED_ADMIN_KEY": admin.keys[role].text}

    def ended(self, *words: str) -> subprocess.CompletedProcess[str]:
        return snowshed(*words, given=b"", **self._environment)

    def rows(self, *words: str) -> list[list[str]]:
        """A table's, without its head, in words."""
        ended = self.ended(*words)
        assert ended.returncode == 0, ended.stderr
        return [line.split() for line in ended.stdout.splitlines()[1:]]

    def told(self, *words: str) -> Any:
        ended = self.ended(*words, "--json")
        assert ended.returncode == 0, ended.stderr
        return json.loads(ended.stdout)

    def refused(self, *words: str, status: int = 1) -> str:
        return complaint(self.ended(*words), status)


@contextmanager
def opened(folder: Path) -> Iterator[Desk]:
    book, file = KeyBook(sqlite(folder)), folder / "gateway.yaml"
    tree = {**admin_tree(book.url), "models": MODELS}
    file.write_text(yaml.safe_dump(tree))
    with administration(book, MODELS, source=Source(file)) as admin:
        yield Desk(admin, file)


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    with opened(tmp_path) as made:
        yield made


@pytest.fixture(scope="module")
def lasting_desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """For what changes nothing."""
    with opened(tmp_path_factory.mktemp("desk")) as made:
        yield made


def test_weights_are_shown_set_and_cleared(desk: Desk) -> None:
    by_the_file = [["chat", "1", "1", "file", "no", "file", "scripted", "chat-0"],
                   ["chat", "2", "1", "file", "no", "file", "scripted", "chat@2-0"]]  # fmt: skip
    assert desk.rows("models", "--versions") == desk.rows("weights", "chat") == by_the_file
    set_so = desk.rows("weights", "chat", "1=95", "2=5.5")
    assert [row[2:4] for row in set_so] == [["95", "admin"], ["5.5", "admin"]]
    assert [row["weight"] for row in desk.told("models", "--versions")] == [95, 5.5]
    assert [row["weight"] for row in desk.told("weights", "chat", "2=1")] == [0, 1]
    assert desk.rows("weights", "chat", "--clear") == by_the_file
    assert [row[-4:] for row in desk.rows("audit", "--about", "chat")] == [
        ["1:", "95,", "2:", "5.5"], ["2:", "5.5", ">", "1"], ["2:", "1", ">", "-"],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "status", "said"),
    [
        (["weights", "absent"], 1, "There is no model absent: snowshed models --versions."),
        (["weights", "absent", "1=5"], 1, "There is no such model; "),
        (["weights", "chat", "3=5"], 1, "The model has no such version; it has 1, 2."),
        (["weights", "chat", "1=0", "2=0"], 1, "The body: the weights sum to 0"),
        (["weights", "chat", "1=5", "--clear"], 2, "Weights are set or cleared: "),
        (["weights", "chat", "1=nan"], 2, "1=nan: takes each version once with a number from 0 up"),
        (["weights", "chat", "1=-1"], 2, "1=-1: "),
        (["weights", "chat", "1"], 2, "1: "),
        (["weights", "chat", "1=1", "1=2"], 2, "1=2: "),
        (["drain", "absent"], 1, "There is no version or replica absent: "),
        (["restore", "chat@3"], 1, "The model has no such version."),
        (["eject", "../models"], 1, "There is no such replica"),
        (["explain", "req_0"], 1, "It is not among the last requests"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(lasting_desk: Desk, words: list[str], status: int, said: str) -> None:
    before = lasting_desk.told("models", "--versions")
    assert lasting_desk.refused(*words, status=status).startswith(said)
    assert lasting_desk.told("models", "--versions") == before


def test_versions_and_replicas_are_taken_out_of_service_and_put_back(desk: Desk) -> None:
    url, caller = desk.admin.gateway.url, desk.admin.keys["inference"]
    assert [row[4] for row in desk.rows("drain", "chat@1")] == ["yes", "no"]
    assert ask(url, caller, "chat").headers["x-model-version"] == "chat@2"
    (ejected,) = desk.told("eject", "chat@2-0", "--for", "1h")
    assert (ejected["state"], ejected["reason"]) == ("ejected", "ejected: by hand")
    assert ask(url, caller, "chat").status_code == 503
    assert desk.told("restore", "chat@2-0")[0]["state"] == "closed"
    assert ask(url, caller, "chat").status_code == 200
    assert desk.refused("restore", "chat-0").startswith("Its version is drained: restore that.")
    assert [row[4] for row in desk.rows("restore", "chat@1")] == ["no", "no"]
    (drained,) = desk.rows("drain", "chat-0")
    assert drained[:3] == ["chat-0", "chat", "draining"]
    assert [row["after"] for row in desk.told("events")] == ["ejected", "closed"]
    assert [row[-5:] for row in desk.rows("events", "--after", "1")] == [
        ["chat@2-0", "ejected", "closed", "by", "hand"]
    ]


def explained(desk: Desk, request_id: str) -> dict[str, str]:
    """What is said of it, by the first word of each line."""
    ended = wait_until(lambda: desk.ended("explain", request_id), lambda ended: ended.returncode == 0)
    return {line.split()[0]: line.split(maxsplit=1)[1] for line in ended.stdout.splitlines()}


def test_a_request_is_explained(desk: Desk) -> None:
    answer = ask(desk.admin.gateway.url, desk.admin.keys["inference"], "chat")
    request_id = answer.headers["x-request-id"]
    viewer = Desk(desk.admin, desk.file, "viewer")
    version = answer.headers["x-model-version"]
    said = explained(viewer, request_id)
    assert said["request"].startswith(f"{request_id}, chat, at 2")
    assert said["caller"] == f"tenant acme, key {desk.admin.keys['inference'].id}, class standard"
    assert (said["version"], said["replica"].endswith(", attempts: 1")) == (f"{version} (weights)", True)
    assert said["ended"].startswith("success, 200; first content after 0.")
    assert viewer.told("explain", request_id)["version"] == version


def test_a_refusal_is_explained(tmp_path: Path) -> None:
    """One that waited in vain, behind a stream that goes on, and one whose body nobody read."""
    slow = {
        "name": "slow", "engine": "scripted", "limits": {"requests": 1}, "start_within": {"standard": "200ms"},
        "replicas": [{"text": "word " * 1000, "pause": 0.1}],
    }  # fmt: skip
    with administration(KeyBook(sqlite(tmp_path)), [slow]) as admin:
        desk, url, caller = Desk(admin, tmp_path / "none"), admin.gateway.url, admin.keys["inference"]
        chats, body = f"{url}/v1/chat/completions", {**QUESTION, "model": "slow"}
        with (
            plain.client(headers=headers(caller)) as client,
            client.stream("POST", chats, json={**body, "stream": True}) as streaming,
        ):
            assert streaming.status_code == 200
            late = explained(desk, ask(url, caller, "slow").headers["x-request-id"])
        unread = plain.post(chats, json=body, headers={**headers(caller), "x-priority": "urgent"})
        nobody = explained(desk, unread.headers["x-request-id"])
    assert late["caller"].endswith("class standard")
    assert late["ended"].startswith("failed, 503 overloaded: too_late; waited 0."), late
    assert nobody["model"] == "not known: its body was not read"
    assert nobody["ended"].startswith("ignored, 400 invalid_value; over after "), nobody


def test_the_file_is_read_again(desk: Desk) -> None:
    tree = yaml.safe_load(desk.file.read_text())
    assert desk.ended("reload").stdout.startswith("What can be taken over is that of the file already (generation ")
    desk.file.write_text(yaml.safe_dump({**tree, "models": [*MODELS[:1], {"name": "new", "engine": "scripted"}]}))
    said = desk.ended("reload")
    assert said.stdout == "Added: new@1\nRemoved: chat@2\n", said.stderr
    desk.file.write_text("models: 5")
    assert "Nothing is changed: " in desk.refused("reload")
    desk.file.write_text(yaml.safe_dump(tree))
    assert desk.told("reload")["removed"] == ["new@1"]


def test_the_admin_listener_is_asked_for_versions_only_when_told(desk: Desk) -> None:
    said = desk.refused("models", "--admin-url", f"http://127.0.0.1:{desk.admin.port}", status=2)
    assert said == "The admin listener is asked with --versions."
    assert "operator" in Desk(desk.admin, desk.file, "viewer").refused("drain", "chat@1")


def test_who_is_asked_all_the_same_is_shown(tmp_path: Path) -> None:
    away = {"name": "away", "engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]}
    with administration(KeyBook(sqlite(tmp_path)), [away]) as admin:
        desk = Desk(admin, tmp_path / "none")
        shown = wait_until(lambda: desk.ended("replicas").stdout.splitlines()[1], lambda row: "ready" not in row)
        assert "can't be reached; asked all the same" in shown


def test_a_name_that_means_two_things_steers_neither(tmp_path: Path) -> None:
    models = [{"name": "chat", "version": version, "engine": "scripted"} for version in ("2", "2-0")]
    with administration(KeyBook(sqlite(tmp_path)), models) as admin:
        desk = Desk(admin, tmp_path / "none")
        assert desk.refused("drain", "chat@2-0").startswith("chat@2-0 is a version and a replica; ")
        assert not any(seen["drained"] for seen in desk.told("models", "--versions") + desk.told("replicas"))
