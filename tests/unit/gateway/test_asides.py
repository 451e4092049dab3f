"""Shadows and hedges as the configuration asks for them; what they have counted and hold outlives its changes."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from random import Random
from typing import Any

import pytest

from engines.api import Call
from gateway.asides import Asides
from gateway.config.routing import RoutingSpec
from router.api import NO_AFFINITY, Replica
from router.model import Model, Version
from router.shadow import Shadow
from tests.support.gates import Gate, Noted
from tests.support.models import made_of
from tests.support.upstreams import configured, model, staged
from tests.support.waiting import settle, until

CALL = Call("call-1-shadow", "chat", {}, "chat", stream=True, show_usage=False, deadline=1e9)


def plain(gate: Gate | None = None) -> Model:
    return made_of("chat", [Replica("chat-0", gate or Gate())])


def route(**members: Any) -> RoutingSpec:
    return RoutingSpec.model_validate({"model": "chat", **members})


def asides() -> Asides:
    return Asides(lambda: 0.0, Random(1))


def shadowed(aside: Asides, model: Model, drained: Collection[str] = (), **options: Any) -> Shadow | None:
    spec = {"version": "1", "share": 1, "concurrency": 1, **options}
    return aside.beside(model, route(shadow=spec), drained).shadow


def other_version() -> Version:
    model = made_of("other", [Replica("other-0", Gate())])
    assert model.only is not None
    return model.only


def test_a_model_without_either_has_neither() -> None:
    model = asides().beside(plain(), route(), ())
    assert (model.shadow, model.hedge) == (None, None)


def test_what_the_route_says_is_what_the_model_has() -> None:
    model = asides().beside(plain(), route(shadow={"version": "1", "share": 0.25}, hedge={"after": 2}), ())
    assert model.shadow is not None
    assert model.hedge is not None
    assert (model.shadow.version, model.shadow.share, model.shadow.concurrency) == (model.versions["1"], 0.25, 4)
    assert model.hedge.after == 2
    assert repr(model.hedge).startswith("<Hedge after 2 s")


def test_a_shadow_that_is_drained_gets_no_copies() -> None:
    assert shadowed(asides(), plain(), drained={"1"}) is None
    assert shadowed(asides(), plain(), drained={"2"}) is not None


async def test_places_are_shared_with_the_models_adapters_and_over_changes() -> None:
    aside, gate = asides(), Gate()
    before, after = shadowed(aside, plain(gate)), shadowed(aside, plain(), share=0.5, concurrency=1)
    assert before is not None
    assert after is not None
    before.copy(CALL, NO_AFFINITY, Noted())
    assert not before.wants(other_version())
    assert not any(after.wants(other_version()) for _ in range(20))
    aside.close()
    await settle()
    assert before.wants(other_version())
    assert gate.calls == [], "it was cancelled before it began"


async def test_closing_ends_the_copies_under_way() -> None:
    aside, gate = asides(), Gate()
    shadow = shadowed(aside, plain(gate))
    assert shadow is not None
    shadow.copy(CALL, NO_AFFINITY, Noted())
    await settle()
    assert len(gate.calls) == 1
    aside.close()
    await settle()
    assert gate.left == 1
    assert 'snowshed_shadow_total{model="chat",version="1",outcome="cancelled"} 1\n' in list(aside.lines())


def test_a_budget_outlives_changes() -> None:
    aside = asides()
    budgets = []
    for after in (1, 2):
        hedge = aside.beside(plain(), route(hedge={"after": after}), ()).hedge
        assert hedge is not None
        budgets.append(hedge._account.budget)
    assert budgets[0] is budgets[1]


@pytest.mark.parametrize(
    "series",
    [
        'snowshed_shadow_total{model="chat",version="1",outcome="dropped"} 0\n',
        'snowshed_shadow_finish_reason_total{model="chat",version="1",agree="false"} 0\n',
        'snowshed_hedges_total{model="chat",outcome="won"} 0\n',
    ],
)
def test_counters_are_there_from_the_start(series: str) -> None:
    aside = asides()
    assert series not in list(aside.lines())
    aside.beside(plain(), route(shadow={"version": "1", "share": 1}, hedge={"after": 1}), ())
    assert series in list(aside.lines())


async def test_the_metrics_thread_may_read_while_the_loop_counts() -> None:
    aside = asides()
    shadow = shadowed(aside, plain())
    assert shadow is not None
    reading = asyncio.get_running_loop().run_in_executor(None, lambda: [list(aside.lines()) for _ in range(50)])
    while not reading.done():
        shadow.scores.ended("dropped")
        await asyncio.sleep(0)
    assert all(any("snowshed_shadow_total" in line for line in lines) for lines in await reading)


async def test_no_copy_is_under_way_once_engines_are_closed() -> None:
    gate, config = (
        Gate(),
        configured(
            model("a"),
            model("b", version="2", weight=0),
            routing=[{"model": "m", "shadow": {"version": "2", "share": 1}}],
        ),
    )
    async with staged(config) as stage:
        stage.engine("m@2-0").call = gate.call  # type: ignore[assignment, method-assign]
        shadow = stage.upstreams.catalog.snapshot.models["m"].shadow
        assert shadow is not None
        shadow.copy(CALL, NO_AFFINITY, Noted())
        await until(lambda: gate.calls)
    await settle()
    assert gate.left == 1
