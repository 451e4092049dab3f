"""`snowshed usage`: the same tables beside the database and through the admin listener, and CSV that may be long."""

from __future__ import annotations

import csv
import io
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from gateway.store.spending import COUNTS, DAY, FIELDS
from tests.flows.admin.conftest import Administration, admin_tree, administration
from tests.flows.keys.conftest import VARIABLE
from tests.support.command_line import complaint, snowshed
from tests.support.databases import sqlite
from tests.support.gateway import ROOT
from tests.support.ledgers import MIDNIGHT, added_up, spent
from tests.support.stored import KeyBook

ROWS = [
    spent(
        f"req_{nth:05}", at=MIDNIGHT + nth * 100, tenant=("acme", "other")[nth % 2], version=f"chat@{nth % 7}", cost=nth
    )
    for nth in range(2500)
]
"""More than two pages."""


class Reader:
    """Who calls the command, with the options that say where."""

    def __init__(self, place: list[str], environment: dict[str, Any]) -> None:
        self.place = place
        self.environment = environment

    def run(self, *words: str) -> str:
        ended = snowshed("usage", *words, *self.place, **self.environment)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    def told(self, *words: str) -> Any:
        return json.loads(self.run("--json", *words))

    def table(self, *words: str) -> list[list[str]]:
        return list(csv.reader(io.StringIO(self.run("--csv", "-", *words))))

    def refused(self, *words: str, status: int) -> str:
        return complaint(snowshed("usage", *words, *self.place, **self.environment), status)


@pytest.fixture(params=["beside", "elsewhere"])
def reader(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Reader]:
    """Both ways, over either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    book = KeyBook(database)
    book.do(lambda registry: registry.usage.write(ROWS))
    if request.param == "beside":
        file = tmp_path / "gateway.yaml"
        file.write_text(yaml.safe_dump(admin_tree(database)))
        yield Reader(["--config", str(file)], {VARIABLE: database})
    else:
        with administration(book) as admin:
            yield Reader(["--admin-url", _url(admin)], {"SNOWSHED_ADMIN_KEY": admin.keys["viewer"].text})


def _url(admin: Administration) -> str:
    return f"http://127.0.0.1:{admin.port}"


def test_sums_and_requests_are_the_ledgers(reader: Reader) -> None:
    for words, by in (([], ["day", "tenant", "model"]), (["--by", "version, tenant"], ["tenant", "version"])):
        expected = [
            [*(str(getattr(one, field)) for field in by), *(str(getattr(one, count)) for count in COUNTS)]
            for one in added_up(ROWS, by)
        ]
        assert reader.table(*words) == [[*by, *COUNTS], *expected]
        assert [[str(one[name]) for name in (*by, *COUNTS)] for one in reader.told(*words)] == expected
        shown = reader.run(*words).splitlines()
        assert shown[0].split() == " ".join((*by, *COUNTS)).upper().replace("_", " ").split()
        assert [line.split() for line in shown[1:]] == expected
    head, *lines = reader.table("--requests")
    assert [dict(zip(head, line, strict=True))["id"] for line in lines] == [row.id for row in ROWS]
    assert lines[1] == [
        "req_00001", "2027-01-16T00:01:40Z", "other", "0123456789ab", "chat", "chat@1", "6", "4", "true", "success", "",
        "250", "0.000001",
    ]  # fmt: skip
    last = reader.told("--requests", "--from", "2027-01-18", "--tenant", "acme")
    late = [row.id for row in ROWS if row.at >= MIDNIGHT + 2 * DAY and row.tenant == "acme"]
    assert [one["id"] for one in last] == late


def test_csv_goes_into_a_file(reader: Reader, tmp_path: Path) -> None:
    assert reader.run("--by", ",".join(FIELDS), "--csv", str(tmp_path / "usage.csv")) == ""
    with (tmp_path / "usage.csv").open(newline="") as file:
        assert [line["day"] for line in csv.DictReader(file)] == [str(one.day) for one in added_up(ROWS, FIELDS)]


def test_a_file_that_can_not_be_written_is_told_as_that(reader: Reader) -> None:
    assert reader.refused("--requests", "--csv", "/dev/full", status=1).startswith("The CSV can't be written: No space")


def test_mistakes_are_told(tmp_path: Path) -> None:
    KeyBook(sqlite(tmp_path))
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(admin_tree(sqlite(tmp_path))))
    reader = Reader(["--config", str(file)], {})
    assert "not month" in reader.refused("--by", "day,month", status=2)
    assert "--requests" in reader.refused("--by", "day", "--requests", status=2)
    assert "--json" in reader.refused("--csv", "-", "--json", status=2)
    assert reader.table() == [["day", "tenant", "model", *COUNTS]]


def test_the_guides_calls(tmp_path: Path) -> None:
    """As they are written, beside a database."""
    KeyBook(sqlite(tmp_path)).do(lambda registry: registry.usage.write(ROWS[:5]))
    file = tmp_path / "gateway.yaml"
    file.write_text(yaml.safe_dump(admin_tree(sqlite(tmp_path))))
    calls = re.findall(r"^\$ snowshed (.*)$", (ROOT / "docs/guides/usage.md").read_text(), re.MULTILINE)
    assert len(calls) == 4
    for call in calls:
        words = call.replace("gateway.yaml", str(file)).replace("acme.csv", str(tmp_path / "acme.csv")).split()
        assert snowshed(*words).returncode == 0, call
    assert (tmp_path / "acme.csv").read_text().count("\n") == 2
