"""One version that can't hold in this gateway keeps no other from being exchanged, added or dropped as it should."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from pathlib import Path

import pytest

from engines.api import Unreachable
from gateway.config import Config
from gateway.replica_maker import Homes
from tests.support.upstreams import NotingEngine, configured, model, staged
from tests.unit.gateway.test_laying import Desk, Failing, entry


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        made = Desk(tmp_path, await stack.enter_async_context(staged(configured(model("file's")))))
        stack.push_async_callback(made.registry.aclose)
        yield made


def unable() -> NotingEngine:
    engine = NotingEngine()
    engine.failure = Unreachable("no luck")
    return engine


def watched(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The labels of each configuration that comes to hold."""
    seen: list[list[str]] = []
    hold = desk.stage.upstreams._hold

    def noted(config: Config, homes: Homes) -> None:
        hold(config, homes)
        seen.append([spec.label for spec in config.models])

    monkeypatch.setattr(desk.stage.upstreams, "_hold", noted)
    return seen


async def test_one_that_is_exchanged_is_never_missing_though_another_can_not_start(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.stage.maker.prepared = Failing({"bad-0": unable()})
    desk.store(bad={"1": entry()}, x={"1": entry("before")})
    await desk.laying.refresh()
    assert desk.holding == ["m@1", "x@1"]
    seen = watched(desk, monkeypatch)
    desk.store(x={"1": entry("after")})
    await desk.laying.refresh()
    assert seen == [["m@1", "x@1"]]
    assert desk.stage.upstreams.config.models[1].replicas[0].model_dump()["text"] == "after"


async def test_the_others_come_at_once_though_one_can_not_start(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each exchange may wait a second for replicas that are silent, and a start waits for all of them."""
    desk.stage.maker.prepared = Failing({"bad-0": unable()})
    desk.store(bad={"1": entry()}, **{f"n{number}": {"1": entry()} for number in range(9)})
    seen = watched(desk, monkeypatch)
    await desk.laying.refresh()
    assert seen == [["m@1", *(f"n{number}@1" for number in range(9))]]


async def test_one_that_can_not_be_dropped_keeps_no_other_and_is_told(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """What the file has in its place can't start."""
    desk.store(m={"1": entry("over the file's")}, gone={"1": entry()})
    await desk.laying.refresh()
    await asyncio.wait(desk.stage.upstreams._leaving.values())
    desk.stage.maker.prepared = Failing({"m-0": unable()})
    desk.store(m={"1": None}, gone={"1": None}, come={"1": entry()})
    with caplog.at_level(logging.ERROR, "snowshed"):
        await desk.laying.refresh()
    assert desk.holding == ["m@1", "come@1"]
    assert [(vars(one)["model"], vars(one)["reason"]) for one in caplog.records] == [("m@1", "Replica m-0: no luck")]
