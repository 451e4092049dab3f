"""What is known of overrides holds while the database is away, and changes of what is not there are refused."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from functools import partial
from pathlib import Path
from random import Random

import pytest

from gateway.overrides import Overrides
from gateway.quotas import Quotas
from gateway.steering import Steering
from gateway.store.bounded import BoundedRegistry
from gateway.store.database import address
from gateway.store.records import NotThere
from gateway.store.registry import Registry
from router.api import Caller
from security.api import StoreAway
from tests.support.databases import sqlite
from tests.support.stored import SOMEBODY, KeyBook
from tests.support.upstreams import Stage, configured, staged
from tests.support.waiting import until


class Desk:
    """A steering over a file, and the upstreams that heed it."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "snowshed.db"
        self.book = KeyBook(sqlite(folder))
        self.registry = BoundedRegistry(address(self.book.url), time.time)
        self.upstreams = Stage(configured(*({"name": "chat", "version": version} for version in "12"))).upstreams
        self.quotas = Quotas([])
        self.steering = Steering(self.registry, self.upstreams, self.quotas)


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    made = Desk(tmp_path)
    yield made
    await made.registry.aclose()


async def test_what_others_set_is_learnt_and_holds_while_the_database_is_away(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    await desk.steering.refresh()
    number = desk.upstreams.catalog.number
    await desk.steering.refresh()
    assert desk.upstreams.catalog.number == number, "nothing has changed"

    desk.book.do(lambda registry: registry.steering.set_weights("chat", {"2": 1}, by=SOMEBODY))
    desk.book.do(lambda registry: registry.steering.drain("chat", "1", by=SOMEBODY))
    await desk.steering.refresh()
    learnt = desk.upstreams.overrides
    assert learnt == Overrides({"chat": {"2": 1}}, {"chat": frozenset("1")})

    away = desk.file.rename(desk.file.with_suffix(".away"))
    with caplog.at_level(logging.WARNING, "snowshed"):
        for _ in range(3):
            await desk.steering.refresh()
        assert [one.msg for one in caplog.records] == ["overrides not known"]
    assert (desk.upstreams.overrides, "FileNotFoundError" in repr(desk.steering)) == (learnt, True)
    with pytest.raises(StoreAway):
        await desk.steering.clear_weights("chat", by=SOMEBODY)

    away.rename(desk.file)
    await desk.steering.clear_weights("chat", by=SOMEBODY)
    assert desk.upstreams.overrides.weights == {}
    await desk.steering.refresh()
    assert "FileNotFoundError" not in repr(desk.steering)


async def test_drains_are_learnt_whatever_becomes_of_versions(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    async def broken() -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(desk.steering.laying, "refresh", broken)
    desk.book.do(lambda registry: registry.steering.drain("chat", "1", by=SOMEBODY))
    await desk.steering.refresh()
    assert desk.upstreams.overrides == Overrides(drained={"chat": frozenset("1")})


async def test_plans_are_learnt_whatever_becomes_of_drains_and_hold_while_the_database_is_away(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(_: Overrides) -> None:
        raise RuntimeError("a mistake of ours")

    monkeypatch.setattr(desk.upstreams, "steer", broken)
    desk.book.do(lambda registry: registry.plans.set("gold", {"key": {"tokens_per_day": 5}}, by=SOMEBODY))
    await desk.steering.refresh()
    assert desk.quotas.plans["gold"].key.tokens_per_day == 5
    desk.file.rename(desk.file.with_suffix(".away"))
    await desk.steering.refresh()
    with pytest.raises(StoreAway):
        await desk.steering.planning.clear("gold", by=SOMEBODY)
    assert desk.quotas.plans.keys() == {"gold"}


async def test_drains_are_learnt_while_a_version_takes_its_time_to_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.steering.POLL", 0.01)
    monkeypatch.setattr(desk.steering.laying, "refresh", asyncio.Event().wait)  # for ever
    desk.book.do(lambda registry: registry.steering.drain("chat", "1", by=SOMEBODY))
    watch = asyncio.create_task(desk.steering.watch())
    await until(lambda: desk.upstreams.overrides == Overrides(drained={"chat": frozenset("1")}))
    watch.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watch


async def test_what_the_configuration_has_not_is_refused_and_nothing_is_kept(desk: Desk) -> None:
    steering = desk.steering
    for refused in (
        steering.set_weights("absent", {"1": 1}, by=SOMEBODY), steering.clear_weights("absent", by=SOMEBODY),
        steering.drain("chat", "3", by=SOMEBODY), steering.restore("absent", "1", by=SOMEBODY),
    ):  # fmt: skip
        with pytest.raises(NotThere):
            await refused
    with pytest.raises(NotThere) as error:
        await steering.set_weights("chat", {"1": 1, "3": 1}, by=SOMEBODY)
    assert (error.value.field, "1, 2" in str(error.value)) == ("3", True)
    assert desk.book.do(lambda registry: registry.steering.all()) == {}
    assert desk.book.do(lambda registry: registry.audit()) == []


async def set_and_drained(model: str, version: str, registry: Registry) -> None:
    await registry.steering.set_weights(model, {version: 1}, by=SOMEBODY)
    await registry.steering.drain(model, version, by=SOMEBODY)


async def test_what_was_set_about_what_is_gone_can_be_undone(desk: Desk) -> None:
    """Else it would hold again, to everybody's surprise, when the version comes back."""
    steering = desk.steering
    for model, version in (("chat", "old"), ("gone", "1")):
        desk.book.do(partial(set_and_drained, model, version))
    await steering.refresh()
    for model, version in (("chat", "old"), ("gone", "1")):
        await steering.clear_weights(model, by=SOMEBODY)
        await steering.restore(model, version, by=SOMEBODY)
        with pytest.raises(NotThere):
            await steering.restore(model, version, by=SOMEBODY)
    assert desk.upstreams.overrides == Overrides()
    assert desk.book.do(lambda registry: registry.steering.all()) == {}


async def test_what_was_set_holds_over_a_file_that_is_read_again() -> None:
    """Also over one that has lost the version meanwhile, and has it again."""

    def chosen(stage: Stage) -> str:
        model = stage.upstreams.catalog.snapshot.models["chat"]
        return model.choose(Caller(key="0"), Random(1))[0].name

    first, second = ({"name": "chat", "version": version} for version in "12")
    async with staged(configured(first, {**second, "weight": 0})) as stage:
        stage.upstreams.steer(Overrides({"chat": {"2": 1}}))
        assert chosen(stage) == "2"
        for models, expected in [
            ((first, {**second, "weight": 0, "max_tokens": 7}), "2"), ((first,), "1"), ((first, second), "2"),
        ]:  # fmt: skip
            await stage.upstreams.apply(configured(*models))
            assert chosen(stage) == expected
        stage.upstreams.steer(Overrides(drained={"chat": frozenset("2")}))
        assert chosen(stage) == "1"
