"""Single figures of plans that are other for a tenant or a key: listed, set and cleared from a shell."""

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
until: "2999-01-01"
key: {requests_per_minute: 600, tokens_per_day: null}  # as in the file, without its name
"""


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    """An operator's; files of no name are in its folder."""
    with administration(KeyBook(sqlite(tmp_path)), MODELS[:1]) as admin:
        yield Desk(admin, tmp_path / "override.yaml")


def test_overrides_are_listed_set_and_cleared(desk: Desk) -> None:
    desk.file.write_text(ENTRY)
    key = desk.admin.keys["inference"]
    assert desk.rows("overrides", "list") == []
    limits = "key requests_per_minute 600, key tokens_per_day unlimited"
    said = ["tenant", "acme", "admin", "2999-01-01", *limits.split()]
    assert desk.rows("overrides", "set", "tenant", "acme", str(desk.file)) == [said]
    assert ask(desk.admin.gateway.url, key, "chat").headers["x-ratelimit-limit-requests"] == "600"
    desk.file.write_text("requests_per_minute: 700")
    own = ["key", key.id, "admin", "cleared", "key", "requests_per_minute", "700"]
    assert desk.rows("overrides", "set", "key", key.id, str(desk.file)) == [own]
    assert desk.rows("overrides", "list") == [said, own]
    assert desk.told("overrides", "list") == desk.admin.client().get("/v1/overrides").json()["data"]
    assert desk.rows("overrides", "clear", "tenant", "acme") == [own]


@pytest.mark.parametrize(
    ("words", "content", "status", "said"),
    [
        (["set", "tenant", "acme", "{file}"], "key: {requests: 5}", 1, "key.requests: there is no such setting"),
        (["set", "tenant", "absent", "{file}"], ENTRY, 1, "There is no tenant absent"),
        (["set", "tenant", "a/b", "{file}"], ENTRY, 2, "a/b: takes a tenant's name"),
        (["set", "key", "000000000000", "{file}"], "tokens_per_day: 1", 1, "There is no key 000000000000"),
        (["set", "tenant", "acme", "{file}"], "until: 2999-01-01", 2, "{file}: "),
        (["clear", "tenant", "acme"], ENTRY, 1, "No override of that tenant was set over the admin API."),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(
    desk: Desk, words: list[str], content: str, status: int, said: str
) -> None:
    desk.file.write_text(content)
    words = [word.replace("{file}", str(desk.file)) for word in words]
    assert desk.refused("overrides", *words, status=status).startswith(said.replace("{file}", str(desk.file)))


def test_a_whole_key_is_sent_to_nobody(desk: Desk) -> None:
    key = desk.admin.keys["inference"].text
    assert desk.refused("overrides", "clear", "key", key, status=2).startswith("NAME takes a key's id")
