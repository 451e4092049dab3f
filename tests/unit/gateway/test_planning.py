"""Plans that are stored hold over the file's; what has not changed is not read again, what can't be is told once."""

from __future__ import annotations

import logging
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from gateway.config.entries import Unfit
from gateway.planning import Planning
from gateway.quotas import Quotas
from gateway.store.bounded import BoundedRegistry
from gateway.store.database import address
from gateway.store.records import Conflict, NotThere
from tests.support.databases import sqlite
from tests.support.stored import SOMEBODY, KeyBook
from tests.support.upstreams import configured

ONE: dict[str, Any] = {"key": {"requests_per_minute": 1}}


class Desk:
    """A planning over a file, beside another process."""

    def __init__(self, folder: Path) -> None:
        self.book = KeyBook(sqlite(folder))
        self.registry = BoundedRegistry(address(self.book.url), time.time)
        self.quotas = Quotas([])
        config = configured({"name": "chat"})
        self.planning = Planning(self.registry, self.quotas, lambda: config)

    def store(self, name: str, entry: dict[str, Any]) -> None:
        self.book.do(lambda them: them.plans.set(name, entry, by=SOMEBODY))


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    await made.registry.aclose()


async def test_what_has_not_changed_is_not_put_together_anew(desk: Desk) -> None:
    await desk.planning.refresh()
    desk.store("gold", ONE)
    await desk.planning.refresh()
    held = desk.quotas.entries
    await desk.planning.refresh()
    assert desk.quotas.entries is held
    desk.store("gold", {})
    await desk.planning.refresh()
    assert desk.quotas.entries["gold"].key.requests_per_minute is None


async def test_what_can_not_be_read_is_told_once_for_each_reason(desk: Desk, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.ERROR, "snowshed"):
        desk.store("odd", {"of": "tomorrow"})
        for name in ("gold", "lead"):
            desk.store(name, ONE)
            await desk.planning.refresh()
        assert [vars(one)["plan"] for one in caplog.records] == ["odd"]
        desk.store("odd", {"of": "the day after", "others": 1})
        await desk.planning.refresh()
    assert [vars(one)["plan"] for one in caplog.records] == ["odd", "odd"]
    assert desk.quotas.plans.keys() == {"gold", "lead"}
    assert repr(desk.planning) == "<Planning of gold, lead, 1 aside>"


async def test_a_stored_budget_whose_model_has_lost_its_price_is_told(desk: Desk) -> None:
    desk.store("gold", {"tenant": {"budgets": {"day": 1}}, "key": {"requests_per_minute": 1}})
    await desk.planning.refresh()
    assert "plan gold: tenant.budgets: chat has no price" in desk.planning.warnings()
    spent: dict[str, Any] = {"budgets": {"day": 1}}
    of_model = {"models": [{"model": "chat", **spent}]}
    desk.book.do(lambda them: them.limit_overrides.set("tenant", "acme", of_model, by=SOMEBODY))
    desk.book.do(lambda them: them.limit_overrides.set("key", "k1", spent, by=SOMEBODY))
    await desk.planning.refresh()
    told = desk.planning.warnings()
    assert "override of tenant acme: models[0].budgets: chat has no price" in told
    assert "override of key k1: budgets: chat has no price" in told
    desk.store("gold", {})
    await desk.planning.refresh()
    assert not [one for one in desk.planning.warnings() if one.startswith("plan gold")]


async def test_what_can_not_be_is_not_stored(desk: Desk) -> None:
    mistaken: list[dict[str, Any]] = [{"key": {"requests_per_minute": 0}}, {"models": [{"model": "absent"}]}]
    for entry in mistaken:
        with pytest.raises(Unfit):
            await desk.planning.set("gold", entry, by=SOMEBODY)
    with pytest.raises(NotThere):
        await desk.planning.clear("gold", by=SOMEBODY)
    assert desk.book.do(lambda them: them.plans.all()) == {}


async def test_one_that_tenants_are_on_goes_if_there_is_another_for_them(desk: Desk) -> None:
    """The file's of its name; and of the one for who names none, there may be none."""
    desk.book.tenant("usual")
    desk.book.tenant("golden", plan="gold")
    for name in ("default", "gold"):
        await desk.planning.set(name, ONE, by=SOMEBODY)
    await desk.planning.clear("default", by=SOMEBODY)
    with pytest.raises(Conflict):
        await desk.planning.clear("gold", by=SOMEBODY)
    desk.quotas.apply([desk.quotas.plans["gold"]])
    await desk.planning.clear("gold", by=SOMEBODY)
    assert desk.quotas.entries == {}
