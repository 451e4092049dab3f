"""`snowshed tenants`, `keys` and `migrate`: from an empty database to a key that works, and back."""

from __future__ import annotations

import json
import shlex
import time
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.support.command_line import complaint, snowshed
from tests.support.databases import PostgresServer
from tests.support.gateway import configuration, spawned_gateway
from tests.support.stored import SOMEBODY, KeyBook

VARIABLE = "KEYS_DATABASE"
"""Where a configuration with PostgreSQL has its URL from."""


class Desk:
    """An operator's folder, with a configuration and its database."""

    def __init__(self, folder: Path, url: str) -> None:
        place = {"database": {"env": VARIABLE}} if url.startswith("postgresql") else {"sqlite": str(folder / "keys.db")}
        self.tree = configuration(auth={"kind": "keys", **place})
        self.file = folder / "desk.yaml"
        self.file.write_text(yaml.safe_dump(self.tree))
        self._environment = {VARIABLE: url}

    def run(self, *words: str, status: int = 0) -> str:
        """Standard output."""
        ended = snowshed(*words, "--config", str(self.file), given=b"", **self._environment)
        assert ended.returncode == status, ended.stderr
        return ended.stdout

    def told(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def refused(self, *words: str, status: int = 1) -> str:
        return complaint(snowshed(*words, "--config", str(self.file), given=b"", **self._environment), status)


@pytest.fixture
def desk(tmp_path: Path) -> Desk:
    return Desk(tmp_path, "")


def test_a_tenant_and_its_keys_from_the_first_to_the_last(tmp_path: Path, database: str) -> None:
    desk = Desk(tmp_path, database)
    desk.run("migrate")
    desk.run("tenants", "create", "acme", "--plan", "gold", "--weight", "3", "--model", "mock")
    (tenant,) = desk.told("tenants", "list")
    assert (tenant["name"], tenant["plan"], tenant["weight"], tenant["models"]) == ("acme", "gold", 3, ["mock"])
    desk.run("tenants", "change", "acme", "--all-models", "--priority", "-5")
    assert desk.run("tenants", "list").splitlines()[1].split()[:5] == ["acme", "gold", "3", "-5", "all"]

    text = desk.run("keys", "create", "acme", "--label", "ci", "--expires", "90d").strip()
    assert text.startswith("sk-snow-")
    (key,) = desk.told("keys", "list", "--tenant", "acme")
    assert (key["tenant"], key["label"], key["state"], key["scopes"]) == ("acme", "ci", "good", ["inference"])
    assert abs(key["expires"] - time.time() - 90 * 86400) < 60
    new = desk.told("keys", "rotate", key["id"], "--overlap", "1h")
    assert new["key"].startswith(f"sk-snow-{new['id']}-")
    desk.run("keys", "revoke", new["id"])
    states = {one["id"]: (one["state"], one["expires"]) for one in desk.told("keys", "list")}
    assert states[new["id"]][0] == "revoked"
    assert abs(states[key["id"]][1] - time.time() - 3600) < 60
    assert text.rpartition("-")[2] not in desk.run("keys", "list")


def test_what_is_said_to_come_next_works_as_it_stands(tmp_path: Path) -> None:
    folder = tmp_path / "my desk"
    folder.mkdir()
    desk = Desk(folder, "")
    said = snowshed("tenants", "create", "acme", "--config", str(desk.file)).stderr
    hint = said.partition("its first key: snowshed ")[2]
    assert snowshed(*shlex.split(hint)).stdout.startswith("sk-snow-")


def test_a_key_lets_its_holder_in(tmp_path: Path, desk: Desk) -> None:
    with spawned_gateway(desk.tree, tmp_path) as gateway:
        without = snowshed("models", "--url", gateway.url)
        assert without.returncode == 1
        assert without.stderr.endswith("(invalid_api_key) Give one by $SNOWSHED_API_KEY or --key-file.\n")
        desk.run("tenants", "create", "acme")
        key = desk.run("keys", "create", "acme").strip()
        assert snowshed("chat", "hello", "--url", gateway.url, SNOWSHED_API_KEY=key).returncode == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["keys", "create", "nobody"], "There is no tenant nobody."),
        (["keys", "revoke", "000000000000"], "There is no key 000000000000."),
        (["tenants", "change", "nobody", "--weight", "2"], "There is no tenant nobody."),
        (["tenants", "create", "a b"], "A tenant's name takes"),
        (["tenants", "create", "acme", "--weight", "0"], "A weight is a whole number"),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(desk: Desk, words: list[str], said: str) -> None:
    desk.run("migrate")
    told = desk.refused(*words)
    assert said in told
    assert told.endswith(f" (in {desk.file.with_name('keys.db')})") is ("There is no" in said)


@pytest.mark.parametrize(
    "words",
    [
        ["tenants", "list"],
        ["tenants", "change", "acme", "--weight", "2"],
        ["audit"],
        ["keys", "list"],
        ["keys", "create", "acme"],
        ["keys", "revoke", "000000000000"],
        ["keys", "rotate", "000000000000"],
    ],
    ids=" ".join,
)
def test_only_a_first_tenant_makes_a_database(desk: Desk, words: list[str]) -> None:
    """From another folder a relative path is another file: an empty list would be taken for the truth."""
    place = desk.file.with_name("keys.db")
    assert desk.refused(*words).startswith(f"There is no database {place}: ")
    assert not place.exists()


def test_a_database_that_a_command_makes_is_named_once(desk: Desk) -> None:
    made = [snowshed("tenants", "create", name, "--config", str(desk.file)).stderr for name in ("acme", "globex")]
    assert f"{desk.file.with_name('keys.db')} was made: there was no database of that name.\n" in made[0]
    assert "was made" not in made[1]


def test_a_file_without_tables_is_said_to_have_been_one(desk: Desk) -> None:
    """As a copy of a database in use is, without the file beside it that holds what was written last."""
    desk.file.with_name("keys.db").touch()
    told = snowshed("keys", "list", "--config", str(desk.file)).stderr
    assert told.startswith(f"{desk.file.with_name('keys.db')} held no tables, and has empty ones now: ")


def test_an_unreadable_duration_is_a_mistake(desk: Desk) -> None:
    for given in ("soon", "0d", "-1d", "1e99d", "9999999999999d", "1w"):
        ended = snowshed("keys", "create", "acme", f"--expires={given}", "--config", str(desk.file))
        assert (ended.returncode, ended.stdout) == (2, ""), given
    assert "There is nothing to change" in desk.refused("tenants", "change", "acme", status=2)


def test_tables_of_another_version_are_not_touched(tmp_path: Path, postgres: PostgresServer) -> None:
    assert "snowshed migrate" in Desk(tmp_path, postgres.database()).refused("keys", "list")


def test_a_database_that_is_away_is_told_without_its_password(tmp_path: Path) -> None:
    said = Desk(tmp_path, "postgresql://me:canary-3d1e@127.0.0.1:1/keys").refused("keys", "list")
    assert said.startswith("The database can't be used: ")
    assert "canary" not in said


def test_a_name_that_the_server_does_not_have_is_told(tmp_path: Path, postgres: PostgresServer) -> None:
    desk = Desk(tmp_path, postgres.database() + "_absent")
    for command in (["keys", "list"], ["migrate"]):
        assert "_absent" in desk.refused(*command)


def test_a_database_that_is_none_is_a_mistake(tmp_path: Path) -> None:
    said = Desk(tmp_path, "postgresql:/canary-3d1e").refused("keys", "list", status=2)
    assert "canary" not in said
    (tmp_path / "keys.db").write_text("no database, but a letter of some length" * 100)
    assert Desk(tmp_path, "").refused("keys", "list").startswith("The database can't be used: ")


def test_who_has_not_turned_keys_on_is_told_so(tmp_path: Path) -> None:
    file = tmp_path / "plain.yaml"
    file.write_text(yaml.safe_dump(configuration(auth={"sqlite": str(tmp_path / "keys.db")})))
    assert snowshed("tenants", "create", "acme", "--config", str(file)).returncode == 0
    assert "auth.kind is none" in snowshed("keys", "create", "acme", "--config", str(file)).stderr


@pytest.mark.parametrize(
    ("listed", "instead"),
    [(["gold", "default"], "that of default holds"), (["gold"], "nothing is limited"), ([], "nothing is limited")],
)
def test_a_plan_that_is_not_listed_is_told(tmp_path: Path, listed: list[str], instead: str) -> None:
    """A typing error would let a tenant ask for more, or less, than it has paid for."""
    desk = Desk(tmp_path, "")
    desk.file.write_text(yaml.safe_dump({**desk.tree, "quotas": {"plans": [{"name": name} for name in listed]}}))
    at = ("--config", str(desk.file))
    created = snowshed("tenants", "create", "acme", "--plan", "golf", *at).stderr
    assert f"There is no plan golf, neither in the configuration (quotas.plans) nor set since: {instead}" in created
    changed = snowshed("tenants", "change", "acme", "--plan", "gold", *at).stderr
    assert ("no plan gold" in changed) is ("gold" not in listed)
    assert "no plan golf" in snowshed("tenants", "change", "acme", "--plan", "golf", *at).stderr
    assert "no plan" not in snowshed("tenants", "change", "acme", "--weight", "2", *at).stderr
    KeyBook(f"sqlite:///{tmp_path / 'keys.db'}").do(lambda them: them.plans.set("golf", {}, by=SOMEBODY))
    assert "no plan" not in snowshed("tenants", "change", "acme", "--plan", "golf", *at).stderr, "it was set elsewhere"
