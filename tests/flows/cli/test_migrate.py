"""`snowshed migrate`: a database of tenants and keys is brought up to date by whoever comes first, and once."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
import yaml

from gateway.store.migrate import newest
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
    assert (first.returncode, first.stderr) == (0, f"Up to date at {newest()}, from nothing.\n")
    assert (second.returncode, second.stderr) == (0, f"Up to date at {newest()}, as before.\n")


def test_several_at_once_do_it_once(auth: dict[str, object], database: str) -> None:
    with ThreadPoolExecutor(3) as pool:
        ended = list(
            pool.map(lambda _: snowshed("migrate", SNOWSHED_AUTH=json.dumps(auth), KEYS_DATABASE=database), range(3))
        )
    assert [each.returncode for each in ended] == [0, 0, 0], ended
    assert sorted(each.stderr.partition(", ")[2] for each in ended) == [
        "as before.\n",
        "as before.\n",
        "from nothing.\n",
    ]


def test_without_keys_there_is_nothing_to_do(tmp_path: Path) -> None:
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump({"models": [{"name": "mock", "engine": "scripted"}]}))
    ended = snowshed("migrate", "--config", str(file))
    assert (ended.returncode, ended.stdout) == (0, "")
    assert "auth.kind: none" in ended.stderr


@pytest.mark.parametrize(
    ("url", "status", "told"),
    [
        ("postgresql://snow:pa55word@127.0.0.1:1/keys", 1, "can't be brought up to date"),
        ("mysql://snow:pa55word@127.0.0.1/keys", 2, "auth.database"),
        ("pa55word", 2, "auth.database"),
    ],
    ids=["away", "foreign", "no url"],
)
def test_what_is_wrong_is_told_without_the_password(url: str, status: int, told: str) -> None:
    auth = '{"kind": "keys", "database": {"env": "KEYS_DATABASE"}}'
    said = complaint(snowshed("migrate", SNOWSHED_AUTH=auth, KEYS_DATABASE=url), status)
    assert told in said
    assert "pa55word" not in said
