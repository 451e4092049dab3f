"""Versions that are set are started, then stored, then hold, or leave no trace; and what others stored is followed."""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from engines.api import Unreachable
from gateway.config.entries import Unfit
from gateway.laying import Laying
from gateway.store.bounded import BoundedRegistry
from gateway.store.database import address
from gateway.store.records import Conflict, NotThere
from gateway.store.registry import Registry
from gateway.store.steering import VERSIONS
from security.api import StoreAway
from tests.support.databases import sqlite
from tests.support.stored import SOMEBODY, KeyBook
from tests.support.upstreams import NotingEngine, Stage, configured, model, staged
from tests.support.waiting import settle, until

NONE: dict[str, Any] = {}


def entry(text: str = "set", **settings: Any) -> dict[str, Any]:
    return {"engine": "scripted", "replicas": [{"text": text}], **settings}


async def set_version(model: str, version: str, given: Any, seen: Any, registry: Registry) -> None:
    await registry.steering.set_version(model, version, given, seen, by=SOMEBODY)


class Failing(dict[str, NotingEngine]):
    """Engines that stay prepared, however often they are tried."""

    def pop(self, name: str, *_: Any) -> Any:
        return self.get(name)


class Desk:
    """A laying over a file with `m@1`, in a gateway that runs."""

    def __init__(self, folder: Path, stage: Stage) -> None:
        self.book = KeyBook(sqlite(folder))
        self.database = folder / "snowshed.db"
        self.registry = BoundedRegistry(address(self.book.url), time.time)
        self.stage = stage
        self.laying = Laying(self.registry, stage.upstreams)

    async def set(self, version: str, *, name: str = "m", **settings: Any) -> None:
        await self.laying.set(name, version, entry(**settings), by=SOMEBODY)

    def store(self, **versions: Mapping[str, dict[str, Any] | None]) -> None:
        """As another gateway would: by model and version; None clears it."""
        for name, entries in versions.items():
            for version, given in entries.items():
                self.book.do(partial(set_version, name, version, given, self.stored))

    @property
    def stored(self) -> dict[str, Any]:
        rows = self.book.do(lambda them: them.steering.all())
        return {model: value for (kind, model), value in rows.items() if kind == VERSIONS}

    @property
    def holding(self) -> list[str]:
        return [spec.label for spec in self.stage.upstreams.config.models]


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    async with AsyncExitStack() as stack:
        made = Desk(tmp_path, await stack.enter_async_context(staged(configured(model("file's")))))
        stack.push_async_callback(made.registry.aclose)
        yield made


async def test_it_is_started_then_stored_and_only_then_holds(desk: Desk) -> None:
    slow = desk.stage.maker.prepared["m@2-0"] = NotingEngine()
    slow.hold = asyncio.Event()
    change = asyncio.create_task(desk.set("2"))
    await settle()
    assert (desk.holding, desk.stored) == (["m@1"], NONE)
    slow.hold.set()
    await change
    assert (desk.holding, desk.stored) == (["m@1", "m@2"], {"m": {"2": entry()}})
    assert (slow.started, slow.closed) == (1, 0)
    assert repr(desk.laying) == "<Laying of m@2, 0 aside>"


async def _can_not_start(desk: Desk) -> None:
    bad = desk.stage.maker.prepared["m@2-0"] = NotingEngine()
    bad.failure = Unreachable("no luck")
    with pytest.raises(Unreachable, match="no luck"):
        await desk.set("2")


async def _can_not_be_stored(desk: Desk) -> None:
    away = desk.database.with_suffix(".away")
    ask, asked = desk.registry.ask, 0

    async def fail_the_second_time(work: Callable[[Any], Awaitable[Any]]) -> Any:
        nonlocal asked
        asked += 1
        if asked == 2:
            desk.database.rename(away)
        return await ask(work)

    desk.registry.ask = fail_the_second_time  # type: ignore[method-assign]
    with pytest.raises(StoreAway):
        await desk.set("2")
    away.rename(desk.database)


async def _was_looked_at_too_early(desk: Desk) -> None:
    slow = desk.stage.maker.prepared["m@2-0"] = NotingEngine()
    slow.hold = asyncio.Event()
    change = asyncio.create_task(desk.set("2"))
    await until(lambda: "m@2-0" in desk.stage.maker.engines)
    desk.store(other={"1": entry()})
    slow.hold.set()
    with pytest.raises(Conflict, match="at the same time"):
        await change
    await desk.laying.clear("other", "1", by=SOMEBODY)


async def _is_cancelled(desk: Desk) -> None:
    slow = desk.stage.maker.prepared["m@2-0"] = NotingEngine()
    slow.hold = asyncio.Event()
    change = asyncio.create_task(desk.set("2"))
    await until(lambda: "m@2-0" in desk.stage.maker.engines)
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change


@pytest.mark.parametrize(
    "trouble",
    [_can_not_start, _can_not_be_stored, _was_looked_at_too_early, _is_cancelled],
    ids=lambda it: it.__name__.strip("_"),
)
async def test_what_can_not_be_leaves_no_trace_and_can_be_asked_for_again(
    desk: Desk, trouble: Callable[[Desk], Awaitable[None]]
) -> None:
    kept = desk.stage.replica("m-0")
    await trouble(desk)
    assert (desk.holding, desk.stored) == (["m@1"], NONE)
    assert desk.stage.upstreams.replicas == [kept]
    await until(lambda: desk.stage.maker.replicas == [kept])
    assert desk.stage.engine("m@2-0").closed == 1
    assert not kept.draining
    await desk.set("2")
    assert (desk.holding, desk.stored) == (["m@1", "m@2"], {"m": {"2": entry()}})


async def test_what_is_the_same_already_is_not_done_again(desk: Desk) -> None:
    await desk.set("2")
    number, trail = desk.stage.upstreams.number, desk.book.do(lambda them: them.audit())
    await desk.set("2")
    await desk.laying.refresh()
    assert (desk.stage.upstreams.number, desk.book.do(lambda them: them.audit())) == (number, trail)


async def test_what_others_set_and_clear_is_followed(desk: Desk) -> None:
    desk.store(m={"1": entry("over the file's"), "2": entry()}, n={"1": entry()})
    await desk.laying.refresh()
    assert desk.holding == ["m@1", "m@2", "n@1"]
    assert desk.stage.upstreams.config.models[0].replicas[0].model_dump()["text"] == "over the file's"
    desk.store(m={"1": None})
    await desk.laying.refresh()
    assert desk.stage.upstreams.config.models[0] == desk.stage.upstreams.file.models[0]
    assert desk.holding == ["m@1", "m@2", "n@1"]


async def test_who_starts_waits_for_a_change_that_is_under_way(desk: Desk) -> None:
    """Of one who was there before the start had come to it: else callers would get the file's first."""
    desk.store(n={"1": entry()})
    slow = desk.stage.maker.prepared["n-0"] = NotingEngine()
    slow.hold = asyncio.Event()
    change = asyncio.create_task(desk.set("2"))
    try:
        await until(lambda: "n-0" in desk.stage.maker.engines)
        start = asyncio.create_task(desk.laying.refresh())
        await settle()
        assert not start.done()
    finally:
        slow.hold.set()
        await change
    await start
    assert desk.holding == ["m@1", "m@2", "n@1"]


async def test_what_can_not_hold_is_left_aside_told_once_and_tried_again(
    desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    """One that another release wrote, one that does not go with this file, and one that can't start."""
    bad = NotingEngine()
    bad.failure = Unreachable("no luck")
    desk.stage.maker.prepared = Failing({"n-0": bad})
    odd = {"engine": "of tomorrow"}
    desk.store(m={"2": odd, "3": entry()}, n={"1": entry()}, o={"1": entry(weight=0)}, p={"1": entry()})
    with caplog.at_level(logging.ERROR, "snowshed"):
        for _ in range(2):
            await desk.laying.refresh()
        said = {record.model: record.reason for record in caplog.records}  # type: ignore[attr-defined]
        assert len(caplog.records) == len(said) == 3
    assert {record.msg for record in caplog.records} == {"override left aside"}
    assert desk.holding == ["m@1", "m@3", "p@1"]
    assert said["m@2"].startswith("m@2.engine: must be one of ")
    assert said["n@1"] == "Replica n-0: no luck"
    assert "o@1.weight: the weights of a model's versions must not sum to 0" in said["o@1"]
    assert repr(desk.laying) == "<Laying of m@3, p@1, 3 aside>"

    bad.failure = None
    await desk.stage.upstreams.apply(configured(model("file's"), model("b", name="o")))
    await desk.laying.refresh()
    assert desk.holding == ["m@1", "o@1", "m@3", "n@1", "p@1"], "o@1 is the file's, and n@1 can be started by now"
    told = [vars(record)["model"] for record in caplog.records]
    assert sorted(told) == ["m@2", "n@1", "o@1"], "once, though other things have changed"
    await desk.laying.set("m", "2", entry(), by=SOMEBODY)
    await desk.laying.clear("o", "1", by=SOMEBODY)
    assert desk.holding == ["m@1", "o@1", "m@2", "m@3", "n@1", "p@1"]
    assert desk.stored.keys() == {"m", "n", "p"}


@pytest.mark.parametrize("odd", [{"engine": "scripted", "weight": 0}, {"engine": "scripted"}])
async def test_one_that_is_odd_among_many_takes_no_other_out_of_service(desk: Desk, odd: dict[str, Any]) -> None:
    """By itself, or as its replica can't start: those that hold go on, and the others come all the same."""
    names = [f"n{number}" for number in range(20)]
    for name in names[:10]:
        await desk.set("1", name=name)
    held, number = desk.stage.upstreams.replicas, desk.stage.upstreams.number
    bad = NotingEngine()
    bad.failure = Unreachable("no luck")
    desk.stage.maker.prepared = Failing({"odd-0": bad})
    desk.store(odd={"1": odd}, **{name: {"1": entry()} for name in names[10:]})
    await desk.laying.refresh()
    assert desk.holding == ["m@1", *sorted(f"{name}@1" for name in names)]
    assert held == [replica for replica in desk.stage.upstreams.replicas if replica in held]
    assert not any(replica.draining for replica in held)
    if "weight" in odd:
        assert desk.stage.upstreams.number == number + 1, "all others at once"


@pytest.mark.parametrize("odd", [{"engine": "scripted", "weight": 0}, {"engine": "scripted"}])
async def test_those_that_need_others_are_not_left_aside_for_one_that_is_odd(desk: Desk, odd: dict[str, Any]) -> None:
    """The first weighs nothing: it can hold once the second does."""
    bad = NotingEngine()
    bad.failure = Unreachable("no luck")
    desk.stage.maker.prepared = Failing({"n-0": bad})
    desk.store(m={"1": entry(weight=0), "2": entry()}, n={"1": odd})
    await desk.laying.refresh()
    assert desk.holding == ["m@1", "m@2"]
    assert [spec.weight for spec in desk.stage.upstreams.config.models] == [0, 1]


async def test_those_that_need_others_come_in_turns_where_nobody_is_to_blame(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A secret that is there no more, though the file refers to it, does not say whose it was."""
    monkeypatch.setenv("THEIR_KEY", "sk-theirs")
    signed = {"engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1", "api_key": {"env": "THEIR_KEY"}}]}
    await desk.stage.upstreams.apply(configured(model("file's"), {"name": "theirs", **signed}))
    monkeypatch.delenv("THEIR_KEY")
    desk.store(m={"1": entry(weight=0), "2": entry()}, n={"1": signed})
    await desk.laying.refresh()
    assert desk.holding == ["m@1", "theirs@1", "m@2"]
    assert [spec.weight for spec in desk.stage.upstreams.config.models] == [0, 1, 1]


async def test_what_was_not_set_can_not_be_cleared_and_what_others_need_is_kept(desk: Desk) -> None:
    with pytest.raises(NotThere):
        await desk.laying.clear("m", "1", by=SOMEBODY)
    await desk.set("2")
    await desk.set("1", weight=0)
    with pytest.raises(Unfit, match=r"m@1\.weight"):
        await desk.laying.clear("m", "2", by=SOMEBODY)
    assert desk.holding == ["m@1", "m@2"]
    assert desk.stored["m"].keys() == {"1", "2"}


async def test_changes_from_all_sides_at_the_same_time_lose_none(desk: Desk) -> None:
    """Over the API, by other gateways, and from the file; each snapshot is one that all three come to."""
    files = [configured(model("file's"), model("b", name=f"f{n}")) for n in range(8)]
    changes: list[Awaitable[None]] = []
    for n in range(8):
        changes += [desk.set(str(n), name="m" if n % 2 else "n"), desk.stage.upstreams.apply(files[n])]
        changes += [desk.laying.refresh(), desk.laying.refresh()]
    await asyncio.gather(*changes)
    assert desk.holding == ["m@1", "f7@1", "m@3", "m@5", "m@7", "n@0", "n@2", "n@4", "n@6"]
    assert desk.stored == {
        "m": {n: entry() for n in "1357"}, "n": {n: entry() for n in "0246"},
    }  # fmt: skip
    await until(lambda: len(desk.stage.maker.replicas) == len(desk.holding))


async def test_a_file_that_does_not_go_with_what_was_set_changes_nothing_and_says_what(desk: Desk) -> None:
    await desk.set("1", name="n")
    await desk.set("2")
    before = desk.stage.upstreams.catalog.snapshot
    clashing = configured(model("file's"), routing=[{"model": "m", "aliases": ["n"]}])
    with pytest.raises(Unfit) as refused:
        await desk.stage.upstreams.apply(clashing)
    assert str(refused.value).splitlines() == [
        "what was set over the admin API stands in the way (n@1):",
        "  routing[0].aliases[0]: that name, or it with an adapter, is taken by n@1",
    ]
    assert desk.stage.upstreams.catalog.snapshot is before
    await desk.laying.clear("n", "1", by=SOMEBODY)
    await desk.stage.upstreams.apply(clashing)
    assert desk.holding == ["m@1", "m@2"]
