"""`snowshed limits simulate`: past requests held to a plan, beside the database and through the admin listener."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.flows.admin.conftest import admin_tree, administration
from tests.flows.keys.conftest import VARIABLE
from tests.support.command_line import complaint, snowshed
from tests.support.gateway import ROOT
from tests.support.ledgers import spent
from tests.support.stored import SOMEBODY, KeyBook

NOW = int(time.time())
AGO = 30 * 3600
"""Seconds: the day before yesterday, or yesterday."""
ROWS = [
    *(spent(f"req_{nth:05}", at=NOW - AGO + nth, tenant="acme", key="a" * 12) for nth in range(1500)),
    *(spent(f"req_1{nth:04}", at=NOW - 3600 + 60 * nth, tenant="other", key="b" * 12) for nth in range(30)),
    spent("req_20000", at=NOW - 60, tenant="other", key="b" * 12, version="", outcome="ignored"),
]
"""More than a page: one a second, and one a minute."""
PLANS = {"plans": [{"name": "tight", "key": {"requests_per_minute": 20}}]}


class Trier:
    """Who calls the command, with the options that say where."""

    def __init__(self, place: list[str], environment: dict[str, Any], folder: Path, book: KeyBook) -> None:
        self.place = place
        self.book = book
        self.environment = environment
        self.folder = folder

    def run(self, *words: str) -> str:
        ended = snowshed("limits", "simulate", *words, *self.place, **self.environment)
        assert (ended.returncode, ended.stderr) == (0, "")
        return ended.stdout

    def told(self, *words: str) -> Any:
        return json.loads(self.run("--json", *words))

    def refused(self, *words: str, status: int) -> str:
        return complaint(snowshed("limits", "simulate", *words, *self.place, **self.environment), status)

    def file(self, **plan: Any) -> str:
        path = self.folder / "plan.yaml"
        path.write_text(yaml.safe_dump(plan))
        return str(path)


@pytest.fixture(params=["beside", "elsewhere"])
def trier(
    request: pytest.FixtureRequest, database: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Trier]:
    """Both ways, over either kind of database."""
    monkeypatch.setenv(VARIABLE, database)
    book = KeyBook(database)
    book.do(lambda registry: registry.usage.write(ROWS))
    book.do(lambda registry: registry.plans.set("wide", {"key": {"requests_per_minute": 60}}, by=SOMEBODY))
    if request.param == "beside":
        file = tmp_path / "gateway.yaml"
        file.write_text(yaml.safe_dump({**admin_tree(database), "quotas": PLANS}))
        yield Trier(["--config", str(file)], {VARIABLE: database}, tmp_path, book)
    else:
        with administration(book, quotas=PLANS) as admin:
            place = ["--admin-url", f"http://127.0.0.1:{admin.port}"]
            yield Trier(place, {"SNOWSHED_ADMIN_KEY": admin.keys["viewer"].text}, tmp_path, book)


def test_a_plan_of_a_file_and_those_that_there_are_are_tried(trier: Trier) -> None:
    acme, other = trier.told("--plan", trier.file(key={"requests_per_minute": 20}))["callers"]
    # 20 at once, then one each three seconds: the first minute has the fewest.
    assert (acme["tenant"], acme["key"], acme["requests"]) == ("acme", "a" * 12, 1500)
    assert acme["refused"] == 1500 - 20 - (1499 // 3)
    assert acme["by"] == {"key requests_per_minute": acme["refused"]}
    assert (acme["refused_in_it"], acme["never_fit"]) == (40, 0)
    assert (other["requests"], other["refused"], other["worst_minute"]) == (30, 0, None)
    assert trier.told("--plan", "tight")["callers"] == [acme, other]
    wide = trier.told("--plan", "wide")
    assert (wide["requests"], wide["refused"], wide["aside"]) == (1530, 0, 1)
    assert (wide["first"], wide["last"]) == (NOW - AGO, NOW - 3600 + 60 * 29)


def test_some_requests_are_chosen_and_what_is_told_can_be_read(trier: Trier) -> None:
    assert [one["tenant"] for one in trier.told("--plan", "tight", "--tenant", "other")["callers"]] == ["other"]
    late = trier.told("--plan", "tight", "--since", "2h")
    assert (late["requests"], late["aside"]) == (30, 1)
    count, _, head, row = trier.run("--plan", "tight", "--tenant", "acme").splitlines()
    assert re.fullmatch(r"1500 requests from .* UTC to .* UTC: 981 would have been refused \(65\.40 %\)\.", count)
    assert head.split() == ["TENANT", "KEY", "REQUESTS", "REFUSED", "BY", "WORST", "MINUTE"]
    assert row.split()[:7] == ["acme", "a" * 12, "1500", "981", "key", "requests_per_minute", "981"]
    assert row.endswith(" UTC: 40")
    assert trier.run("--plan", "wide", "--tenant", "other").splitlines()[1:] == [
        "Left aside: 1 for which no model was asked, as they were refused or mistaken."
    ]


def test_a_tenant_that_there_is_not_is_told_and_one_without_requests_is_not(trier: Trier) -> None:
    said = trier.refused("--plan", "wide", "--tenant", "nobody", status=2)
    assert said == "nobody: is no tenant that there is, nor whose any of these requests are."
    trier.book.tenant("idle")
    assert trier.run("--plan", "wide", "--tenant", "idle") == "0 requests: 0 would have been refused.\n"


def test_what_cost_nothing_is_told_where_there_are_budgets(trier: Trier) -> None:
    trier.book.do(lambda registry: registry.usage.write([spent("req_free", at=NOW - 60, tenant="free", cost=0)]))
    plan = trier.file(tenant={"budgets": {"day": 1}})
    line = "Budgets count nothing of what cost nothing in the ledger, by models and requests: chat (1)."
    assert line in trier.run("--plan", plan).splitlines()
    assert trier.told("--plan", plan)["free"] == {"chat": 1}
    assert line not in trier.run("--plan", plan, "--tenant", "acme").splitlines()
    assert trier.told("--plan", "wide")["free"] == {}


def test_mistakes_are_told(trier: Trier) -> None:
    assert trier.refused("--plan", "absent", status=2) == "absent: is neither a file nor a plan that there is."
    said = trier.refused("--plan", trier.file(key={"requests_per_minit": 1}), status=2)
    assert "plan.key.requests_per_minit: there is no such setting; did you mean" in said


def test_the_guide_s_calls(trier: Trier) -> None:
    page = (ROOT / "docs/guides/quotas.md").read_text()
    calls = re.findall(r"^\$ snowshed limits simulate (.*)$", page, re.MULTILINE)
    assert len(calls) == 2
    for call in calls:
        ours = {"gold.yaml": trier.file(key={"requests_per_minute": 9}), "gold": "wide"}
        words = [ours.get(word, word) for word in call.partition("#")[0].split()]
        assert trier.run(*(word for word in words if word not in ("--config", "gateway.yaml"))), call
