"""Versions of models set and cleared from a shell, as a whole."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.flows.admin.conftest import administration
from tests.flows.cli.test_steering import MODELS, Desk
from tests.support.databases import sqlite
from tests.support.knocking import ask
from tests.support.stored import KeyBook

ENTRY = """\
engine: scripted  # as in the file, without name and version
weight: 0.5
replicas:
  - {text: "Said over the API."}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An administrator's; files of no name are in its folder."""
    with administration(KeyBook(sqlite(tmp_path)), MODELS[:1]) as admin:
        yield Desk(admin, tmp_path / "entry.yaml", "admin")


def test_a_version_and_a_new_model_are_set_and_cleared(desk: Desk) -> None:
    desk.file.write_text(ENTRY)
    (first, second) = desk.rows("model", "set", "chat@2", str(desk.file))
    assert first[:7] == ["chat", "1", "1", "file", "no", "file", "scripted"]
    assert second == ["chat", "2", "0.5", "admin", "no", "admin", "scripted", "chat@2-0"]
    (new,) = desk.told("model", "set", "org/new@1", str(desk.file))
    assert (new["name"], new["set_by"]) == ("org/new", "admin")
    answer = ask(desk.admin.gateway.url, desk.admin.keys["inference"], "org/new")
    assert answer.json()["choices"][0]["message"]["content"] == "Said over the API."
    assert desk.rows("model", "clear", "org/new@1") == []
    assert desk.rows("model", "clear", "chat@2") == [first]
    assert [row[2] for row in desk.rows("models", "--versions")] == ["1"]


@pytest.mark.parametrize(
    ("words", "content", "status", "said"),
    [
        (["set", "chat", "{file}"], ENTRY, 2, "chat: takes a model and its version, as in chat@2."),
        (["clear", "chat@"], ENTRY, 2, "chat@: takes a model and its version"),
        (["set", "chat@2/b", "{file}"], ENTRY, 2, "chat@2/b: a version with a slash in its name "),
        (["set", "chat@2", "{file}"], "# nothing\n", 2, "{file}: is empty"),
        (["clear", "chat@1"], ENTRY, 1, "No such version was set over the admin API."),
        (["set", "chat@2", "{file}.none"], ENTRY, 2, "{file}.none: No such file or directory"),
        (["set", "chat@2", "{file}"], "engine: [", 2, "{file}:1:10: not readable as YAML"),
        (["set", "chat@2", "{file}"], "engine: a\nengine: b\n", 2, "{file}:2:1: not readable as YAML: engine is given"),
        (["set", "chat@2", "{file}"], "engine: 2026-02-03\n", 2, "{file}: holds what JSON has no word for"),
        (["set", "chat@2", "{file}"], "engine: scripted\nwieght: 5\n", 1, "wieght: there is no such setting; did you"),
        (["set", "chat@2", "{file}"], "[1, 2]", 1, "The body: "),
        (["set", "chat@2", "{file}"], f"#{'#' * 2**20}", 2, "{file}: longer than 1048576 bytes"),
        (["set", "chat@2", "{file}"], "engine: embedded", 1, "engine: runs on the gateway's own machine"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(
    desk: Desk, words: list[str], content: str, status: int, said: str
) -> None:
    desk.file.write_text(content)
    words = [word.replace("{file}", str(desk.file)) for word in words]
    assert desk.refused("model", *words, status=status).startswith(said.replace("{file}", str(desk.file)))


def test_an_operator_is_told_what_it_takes(desk: Desk) -> None:
    desk.file.write_text(ENTRY)
    operator = Desk(desk.admin, desk.file)
    for words in (["set", "chat@2", str(desk.file)], ["clear", "chat@2"]):
        assert operator.refused("model", *words).startswith("The caller lacks the scope admin.")
