"""The ways to tell who asks: each that a configuration may name is there, and none costs who does not use it."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
import threading
from pathlib import Path
from typing import get_args

import pytest

from gateway.authentication import AUTHENTICATORS
from gateway.config import ConfigError, check, check_exposure
from gateway.config.auth import Auth, AuthKind
from security.api import StoreAway
from tests.support.gateway import ROOT, configuration
from tests.support.stored import KeyBook
from tests.support.waiting import PATIENCE

JWT = {"issuer": "https://login.example.com", "audiences": ["x"], "tenant": "acme"}


def test_every_kind_has_its_authenticator() -> None:
    assert set(AUTHENTICATORS) == set(get_args(AuthKind))


def printed(program: str) -> str:
    ran = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
    )
    return ran.stdout.strip()


def test_a_gateway_without_keys_and_tokens_loads_nothing_for_them() -> None:
    libraries = ("sqlalchemy", "alembic", "jwt", "cryptography", "httpx2")
    assert printed(f"import sys, gateway.server; print(*(name for name in {libraries} if name in sys.modules))") == ""


@pytest.mark.parametrize("kind", ["keys", "jwt"])
@pytest.mark.parametrize("absent", ["jwt", "cryptography", "httpx2"])
def test_tokens_without_what_checks_them_are_told_what_to_install(kind: str, absent: str) -> None:
    tree = configuration(auth={"kind": kind, "jwt": JWT})
    program = f"""
import sys
import threading
from pathlib import Path
sys.modules[{absent!r}] = None
from gateway.config import check
from gateway.wiring import build
try:
    build(check({tree!r}, "test"), Path())
except ValueError as told:
    print(told)
"""
    assert printed(program) == "auth: tokens need a library that checks them: install snowshed[jwt]"


def test_only_keys_and_tokens_open_other_addresses() -> None:
    tree = configuration(server={"host": "0.0.0.0"})
    with pytest.raises(ConfigError, match=r"auth\.kind: keys"):
        check_exposure(check(tree, "test"))
    check_exposure(check({**tree, "auth": {"kind": "keys"}}, "test"))
    check_exposure(check({**tree, "auth": {"kind": "jwt", "jwt": JWT}}, "test"))


def driver_threads() -> set[threading.Thread]:
    return {thread for thread in threading.enumerate() if "connection" in thread.name}


async def test_a_file_that_can_not_be_used_is_told_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "text.db").write_text("no database " * 100)
    for path, words in ((tmp_path / "absent" / "x.db", "unable to open"), (tmp_path / "text.db", "not a database")):
        auth = AUTHENTICATORS["keys"](Auth(kind="keys", sqlite=path))
        before = driver_threads()
        with pytest.raises(StoreAway, match=f"{path.name} can't be used as a database: .*{words}"):
            await auth.start()
        assert driver_threads() <= before  # one more would tell a loop that may be closed by then
        await auth.aclose()


async def test_a_file_of_a_newer_version_is_told_in_a_sentence(tmp_path: Path) -> None:
    file = tmp_path / "snowshed.db"
    KeyBook(f"sqlite:///{file}")
    with sqlite3.connect(file) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.close()
    auth = AUTHENTICATORS["keys"](Auth(kind="keys", sqlite=file))
    with pytest.raises(StoreAway, match=r"snowshed\.db can't be used as a database: .* newer version"):
        await auth.start()
    await auth.aclose()


def test_a_reference_to_nothing_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    options = Auth.model_validate({"kind": "keys", "database": {"env": "NOT_SET"}})
    with pytest.raises(ValueError, match="NOT_SET is not set"):
        AUTHENTICATORS["keys"](options)
    monkeypatch.setenv("NOT_SET", "mysql://user:hunter2@host/name")
    with pytest.raises(ValueError, match="not mysql") as refused:
        AUTHENTICATORS["keys"](options)
    assert "hunter2" not in str(refused.value)
