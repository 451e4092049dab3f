"""Replicas start side by side where they are elsewhere, and all that had begun are let go if one can't."""

from __future__ import annotations

import asyncio

import pytest

from engines.api import Unreachable
from gateway.starting import NotStarted, start_all
from router.api import Replica
from tests.support.upstreams import NotingEngine, NotingMaker, configured, model
from tests.support.waiting import settle


def made(engine: str, *engines: NotingEngine) -> tuple[NotingMaker, list[Replica]]:
    maker = NotingMaker()
    maker.prepared = {f"m-{number}": each for number, each in enumerate(engines)}
    options: list[dict[str, object]] = [{} for _ in engines]
    homes = maker.homes(configured(model(engine=engine) | {"replicas": options}).models, {})
    return maker, list(homes["m@1"])


def holding() -> NotingEngine:
    engine = NotingEngine()
    engine.hold = asyncio.Event()
    return engine


def release(engine: NotingEngine) -> None:
    assert engine.hold is not None
    engine.hold.set()


@pytest.mark.parametrize(("engine", "started"), [("scripted", [0, 1, 1]), ("embedded", [0, 0, 0])])
async def test_one_that_is_silent_holds_up_those_of_its_own_machine_alone(engine: str, started: list[int]) -> None:
    engines = [holding(), NotingEngine(), NotingEngine()]
    maker, replicas = made(engine, *engines)
    starting = asyncio.create_task(start_all(replicas, maker))
    await settle()
    assert [each.started for each in engines] == started
    release(engines[0])
    await starting
    assert [each.started for each in engines] == [1, 1, 1]


@pytest.mark.parametrize("engine", ["scripted", "embedded"])
async def test_the_first_that_can_not_ends_it_and_is_named(engine: str) -> None:
    bad, slow = NotingEngine(), holding()
    bad.failure = Unreachable("no luck")
    maker, replicas = made(engine, NotingEngine(), bad, slow)
    with pytest.raises(NotStarted, match=r"Replica m-1: no luck") as caught:
        await start_all(replicas, maker)
    assert caught.value.culprits == ("m@1",)
    assert slow.started == 0
    assert len(asyncio.all_tasks()) == 1


async def test_whoever_leaves_lets_all_go() -> None:
    engines = [holding(), holding()]
    maker, replicas = made("scripted", *engines)
    starting = asyncio.create_task(start_all(replicas, maker))
    await settle()
    starting.cancel()
    with pytest.raises(asyncio.CancelledError):
        await starting
    assert len(asyncio.all_tasks()) == 1
