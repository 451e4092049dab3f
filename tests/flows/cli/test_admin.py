"""Commands through the admin listener of a running gateway do what they do in its database, as far as the key goes."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.store.registry import Registry
from loadtests.bench.processes import free_ports
from tests.flows.admin.conftest import Administration, administration
from tests.flows.keys.conftest import auth
from tests.support.certificates import client, localhost
from tests.support.command_line import complaint, snowshed
from tests.support.databases import sqlite
from tests.support.gateway import configuration
from tests.support.stored import SOMEBODY, KeyBook

WAYS = ["database", "listener"]


@pytest.fixture
def admin(tmp_path: Path) -> Iterator[Administration]:
    with administration(KeyBook(sqlite(tmp_path))) as opened:
        yield opened


class Desk:
    """Where somebody types commands, with what they need for one of the ways; by default the key of an admin."""

    def __init__(self, admin: Administration, folder: Path, way: str = "listener", role: str = "admin") -> None:
        self._options: list[str] = []
        self._environment: dict[str, str] = {}
        if way == "database":
            file = folder / "desk.yaml"
            file.write_text(yaml.safe_dump(configuration(auth=auth(admin.book.url))))
            self._options = ["--config", str(file)]
        else:
            url = f"http://127.0.0.1:{admin.port}"
            self._environment = {"SNOWSHED_ADMIN_URL": url, "SNOWSHED_ADMIN_KEY": admin.keys[role].text}

    def ended(self, *words: str) -> subprocess.CompletedProcess[str]:
        return snowshed(*words, *self._options, given=b"", **self._environment)

    def run(self, *words: str) -> str:
        """Standard output."""
        ended = self.ended(*words)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout

    def told(self, *words: str) -> Any:
        return json.loads(self.run(*words, "--json"))

    def refused(self, *words: str, status: int = 1) -> str:
        return complaint(self.ended(*words), status)


@pytest.fixture(scope="module")
def lasting_admin(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Administration]:
    """For what changes nothing."""
    with administration(KeyBook(sqlite(tmp_path_factory.mktemp("book")))) as opened:
        yield opened


@pytest.fixture(params=WAYS)
def desk(request: pytest.FixtureRequest, admin: Administration, tmp_path: Path) -> Desk:
    return Desk(admin, tmp_path, request.param)


def test_a_tenant_and_its_keys_from_the_first_to_the_last(desk: Desk, admin: Administration) -> None:
    desk.run("tenants", "create", "emca", "--plan", "gold", "--weight", "3", "--model", "mock")
    desk.run("tenants", "change", "emca", "--all-models", "--priority", "5")
    tenant = desk.told("tenants", "list")[1]
    assert (tenant["name"], tenant["plan"], tenant["weight"], tenant["priority"]) == ("emca", "gold", 3, 5)
    assert tenant["models"] is None

    text = desk.run("keys", "create", "emca", "--label", "ci", "--expires", "90d", "--model", "mock").strip()
    (key,) = desk.told("keys", "list", "--tenant", "emca")
    assert text.startswith(f"sk-snow-{key['id']}-")
    assert (key["label"], key["state"], key["scopes"], key["models"]) == ("ci", "good", ["inference"], ["mock"])
    assert key["expires"] == key["created"] + 90 * 86400
    new = desk.told("keys", "rotate", key["id"], "--overlap", "1h")
    assert new["key"].startswith(f"sk-snow-{new['id']}-")
    desk.run("keys", "revoke", new["id"])
    states = {one["id"]: one["state"] for one in desk.told("keys", "list")}
    assert (states[key["id"]], states[new["id"]]) == ("good", "revoked")

    trail = desk.told("audit", "--about", key["id"])
    assert [one["action"] for one in trail] == ["create", "rotate"]
    assert desk.told("audit", "--about", key["id"], "--after", str(trail[0]["id"])) == trail[1:]
    assert len(desk.told("audit")) == 6 + 6, "a tenant and five keys were there before"
    secrets = [text.rpartition("-")[2], new["key"].rpartition("-")[2]]
    assert not any(secret in desk.run("audit", *more) for secret in secrets for more in ((), ("--json",)))


def test_the_trail_says_by_which_way_a_change_came(admin: Administration, tmp_path: Path) -> None:
    for way in WAYS:
        Desk(admin, tmp_path, way).run("tenants", "change", "acme", "--weight", "7" if way == "database" else "8")
    desk = Desk(admin, tmp_path)
    first, second = desk.told("audit", "--about", "acme")[1:]
    assert first["actor"].startswith("cli:")
    assert (second["actor"], second["address"]) == (admin.keys["admin"].id, "127.0.0.1")
    lines = desk.run("audit", "--about", "acme").splitlines()
    assert lines[2].endswith("change tenant acme  weight: 1 > 7")
    assert lines[3].endswith("change tenant acme  weight: 7 > 8")


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["keys", "create", "nobody"], "There is no tenant nobody."),
        (["keys", "revoke", "000000000000"], "There is no key 000000000000."),
        (["keys", "revoke", "../tenants?x=%00"], "There is no key ../tenants?x=%00."),
        (["tenants", "change", "nobody", "--weight", "2"], "There is no tenant nobody."),
        (["tenants", "create", "acme"], "There is a tenant acme already."),
    ],
)
def test_what_can_not_be_is_told_in_a_sentence(
    lasting_admin: Administration, tmp_path: Path, way: str, words: list[str], said: str
) -> None:
    assert Desk(lasting_admin, tmp_path, way).refused(*words).startswith(said)


def test_a_key_does_what_its_scope_allows(admin: Administration, tmp_path: Path) -> None:
    viewer, operator = (Desk(admin, tmp_path, role=role) for role in ("viewer", "operator"))
    assert len(viewer.told("keys", "list")) == 5
    assert "operator" in viewer.refused("tenants", "create", "emca")
    operator.run("tenants", "create", "emca")
    operator.run("keys", "create", "emca", "--scope", "inference", "--scope", "routing")
    assert "admin" in operator.refused("keys", "create", "emca", "--scope", "viewer")
    assert "Give one by $SNOWSHED_ADMIN_KEY or --key-file." in complaint(
        snowshed("keys", "list", "--admin-url", f"http://127.0.0.1:{admin.port}"), 1
    )


def test_another_listener_of_the_gateway_is_noticed(admin: Administration) -> None:
    key = admin.book.key(scopes=["inference", "admin"])
    said = complaint(snowshed("replicas", "--admin-url", admin.gateway.url, SNOWSHED_ADMIN_KEY=key.text), 1)
    assert said.endswith("(unknown_url) --admin-url takes an address like http://127.0.0.1:8082.")


def test_long_lists_come_whole(admin: Administration, tmp_path: Path) -> None:
    admin.book.do(_many)
    assert len(Desk(admin, tmp_path).told("keys", "list", "--tenant", "acme")) == 1006


async def _many(registry: Registry) -> None:
    for _ in range(1001):
        await registry.create_key("acme", by=SOMEBODY)


def test_the_running_gateway_is_shown(admin: Administration, tmp_path: Path) -> None:
    desk = Desk(admin, tmp_path, role="viewer")
    replicas = {one["name"]: one for one in desk.told("replicas")}
    assert replicas["mock-0"]["models"] == ["mock"]
    assert desk.run("replicas").splitlines()[1].split()[:3] == ["mock-0", "mock", "ready"]
    tree = yaml.safe_load(desk.run("config", "show", "--running"))
    assert tree == desk.told("config", "show", "--running")
    assert [model["name"] for model in tree["models"]] == ["mock", "other"]
    assert tree["limits"], "every setting, as it holds"


def test_a_listener_that_asks_for_certificates_gets_one(tmp_path: Path) -> None:
    pair, shown = localhost(), tmp_path / "shown.pem"
    for name, content in (("cert", pair.certificate), ("key", pair.key), ("clients", client().certificate)):
        (tmp_path / name).write_bytes(content)
    shown.write_bytes(client().key + client().certificate)
    tls = {"certificate": str(tmp_path / "cert"), "key": str(tmp_path / "key"), "clients": str(tmp_path / "clients")}
    with administration(KeyBook(sqlite(tmp_path)), tls=tls) as admin:
        trust = {"SSL_CERT_FILE": str(tmp_path / "cert"), "SNOWSHED_ADMIN_KEY": admin.keys["viewer"].text}
        asked = ["tenants", "list", "--admin-url", f"https://localhost:{admin.port}"]
        ended = snowshed(*asked, "--certificate", str(shown), given=b"", **trust)
        assert (ended.returncode, "acme" in ended.stdout) == (0, True), ended.stderr
        assert f"https://localhost:{admin.port}" in complaint(snowshed(*asked, given=b"", **trust), 1)
        without = complaint(snowshed(*asked, "--certificate", str(tmp_path / "clients"), given=b"", **trust), 2)
        assert without.startswith(f"{tmp_path / 'clients'}: ")


def test_mistakes_with_the_way_are_told(tmp_path: Path) -> None:
    (port,) = free_ports(1)
    url = f"http://127.0.0.1:{port}"
    assert complaint(snowshed("tenants", "list", SNOWSHED_ADMIN_URL=url), 1).startswith(
        f"No gateway answers at {url}: "
    )
    assert "scope viewer, operator or admin" in complaint(snowshed("replicas", "--admin-url", url), 1)
    assert complaint(snowshed("audit", "--admin-url", "x"), 2).startswith(
        "--admin-url takes an address like http://127"
    )
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(configuration(auth={"sqlite": str(tmp_path / "keys.db")})))
    both = complaint(snowshed("keys", "list", "--config", str(file), "--admin-url", url), 2)
    assert both == "--config names a database, and --admin-url a running gateway: one of them is enough."
    made = snowshed("tenants", "create", "acme", "--config", str(file), SNOWSHED_ADMIN_URL=url)
    assert made.returncode == 0, "a file comes first"
    asked = snowshed("config", "show", "--running", "--config", str(file))
    assert complaint(asked, 2) == "--config names a file, and --running asks a gateway: one of them is enough."
    assert complaint(snowshed("config", "show", "--admin-url", url), 2) == "A gateway is asked with --running."
