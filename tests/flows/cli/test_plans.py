"""Plans of limits listed, set and cleared from a shell."""

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
key: {requests_per_minute: 600}  # as in the file, without its name
tenant: {tokens_per_day: 1000000, concurrent_requests: 8}
models:
  - {model: chat, output_tokens_per_minute: 4000}
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An operator's; files of no name are in its folder."""
    file_s = {"plans": [{"name": "default", "enforce": False}]}
    with administration(KeyBook(sqlite(tmp_path)), MODELS[:1], quotas=file_s) as admin:
        yield Desk(admin, tmp_path / "plan.yaml")


def test_plans_are_listed_set_and_cleared(desk: Desk) -> None:
    desk.file.write_text(ENTRY)
    assert desk.rows("plans", "list") == [["default", "file", "1", "no", "none"]]
    limits = (
        "key requests_per_minute 600, tenant tokens_per_day 1000000, tenant concurrent_requests 8, "
        "chat output_tokens_per_minute 4000"
    )
    assert desk.rows("plans", "set", "default", str(desk.file)) == [["default", "admin", "1", "yes", *limits.split()]]
    answer = ask(desk.admin.gateway.url, desk.admin.keys["inference"], "chat")
    assert answer.headers["x-ratelimit-limit-requests"] == "600"
    (gold,) = desk.told("plans", "set", "gold", str(desk.file))
    assert (gold["set_by"], gold["tenants"], gold["plan"]["key"]) == ("admin", 0, {"requests_per_minute": 600})
    assert desk.told("plans", "list") == desk.admin.client().get("/v1/plans").json()["data"]
    assert [row[:2] for row in desk.rows("plans", "clear", "default")] == [["default", "file"], ["gold", "admin"]]


@pytest.mark.parametrize(
    ("words", "content", "status", "said"),
    [
        (["set", "gold", "{file}"], "key: {requests_per_minit: 5}", 1, "key.requests_per_minit: there is no such sett"),
        (["set", "gold", "{file}"], "models: [{model: caht}]", 1, "Nothing is changed: models.0.model: there is no"),
        (["set", "gold", "{file}"], "# nothing", 2, "{file}: is empty"),
        (["set", "a/b", "{file}"], ENTRY, 2, "a/b: takes a plan's name"),
        (["clear", "gold"], ENTRY, 1, "No such plan was set over the admin API."),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(
    desk: Desk, words: list[str], content: str, status: int, said: str
) -> None:
    desk.file.write_text(content)
    words = [word.replace("{file}", str(desk.file)) for word in words]
    assert desk.refused("plans", *words, status=status).startswith(said.replace("{file}", str(desk.file)))


def test_whoever_only_looks_can_not_set_one(desk: Desk) -> None:
    desk.file.write_text(ENTRY)
    viewer = Desk(desk.admin, desk.file, "viewer")
    assert len(viewer.rows("plans", "list")) == 1
    assert viewer.refused("plans", "set", "gold", str(desk.file)).startswith("The caller lacks the scope operator.")
