"""`snowshed migrate`: a database of tenants and keys is brought up to date by whoever comes first, and once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor

import pytest

from gateway.store.migrations import NEWEST
from tests.support.command_line import complaint, snowshed


@pytest.fixture
def auth(database: str) -> dict[str, object]:
    """The section that names it, in either kind of database."""
    if database.startswith("sqlite"):
        return {"kind": "keys", "sqlite": database.removeprefix("sqlite:///")}
    return {"kind": "keys", "database": {"env": "KEYS_DATABASE"}}


def test_an_empty_database_is_filled_and_then_stays_as_it_is(auth: dict[str, object], database: str) -> None:
    """Told by the environment alone, as the chart's Job is."""
    first, second = (snowshed("migrate", SNOWSHED_AUTH=json.dumps(auth), KEYS_DATABASE=database) for _ in range(2))
    assert (first.returncode, first.stdout) == (0, f"The tables are up to date at {NEWEST}, from nothing.\n")
    assert (second.returncode, second.stdout) == (0, f"The tables are up to date at {NEWEST}, as before.\n")


def test_several_at_once_do_it_once(auth: dict[str, object], database: str) -> None:
    def migrate(_: int) -> str:
        ended = snowshed("migrate", "--json", SNOWSHED_AUTH=json.dumps(auth), KEYS_DATABASE=database)
        assert ended.returncode == 0, ended.stderr
        told = json.loads(ended.stdout)
        assert told["after"] == NEWEST
        return str(told["before"])

    with ThreadPoolExecutor(3) as pool:
        assert sorted(pool.map(migrate, range(3))) == ["", NEWEST, NEWEST]


@pytest.mark.parametrize(
    ("url", "status", "told"),
    [
        ("postgresql://snow:pa55word@127.0.0.1:1/keys", 1, "The database can't be used"),
        ("mysql://snow:pa55word@127.0.0.1/keys", 2, "auth: "),
        ("pa55word", 2, "auth: "),
    ],
    ids=["away", "foreign", "no url"],
)
def test_what_is_wrong_is_told_without_the_password(url: str, status: int, told: str) -> None:
    auth = '{"kind": "keys", "database": {"env": "KEYS_DATABASE"}}'
    said = complaint(snowshed("migrate", SNOWSHED_AUTH=auth, KEYS_DATABASE=url), status)
    assert told in said
    assert "pa55word" not in said
