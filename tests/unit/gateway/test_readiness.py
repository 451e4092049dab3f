"""Readiness outlives whatever a probe does: it answers, refuses, hangs or breaks."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable
from dataclasses import replace

import pytest

from engines.api import Call, Health, Reply
from gateway.readiness import Readiness
from gateway.traffic import Traffic
from router import health
from router.catalog import Catalog
from router.split import Split
from tests.support.models import catalog, over
from tests.support.waiting import until

SECRET = "snowblind"


class Probed:
    """An engine whose probes have the outcomes given, the last one again and again."""

    def __init__(self, *outcomes: Health | Exception) -> None:
        self._outcomes = list(outcomes)

    async def start(self) -> None: ...

    async def call(self, call: Call) -> Reply:
        raise NotImplementedError

    async def probe(self) -> Health:
        outcome = self._outcomes.pop(0) if len(self._outcomes) > 1 else self._outcomes[0]
        if isinstance(outcome, Exception):
            raise outcome
        return outcome

    async def aclose(self) -> None: ...


@pytest.fixture(autouse=True)
def impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is not ready is asked again soon."""
    monkeypatch.setattr("router.health.FIRST_PROBE_EVERY", 0.01)


async def watched(models: Catalog, holds: Callable[[list[str]], bool]) -> list[str]:
    """The reasons as soon as they are as wanted, while each replica is probed."""
    readiness = Readiness(Traffic(), models)
    watching = [asyncio.create_task(health.watch(replica)) for model in models for replica in model.replicas]
    try:
        reasons = await until(readiness.reasons, holds)
        assert not any(watch.done() for watch in watching)
        return reasons
    finally:
        for watch in watching:
            watch.cancel()


GOOD, BAD = Health(ready=True), Health(ready=False, reason="it is away")


async def test_before_the_first_probe_nothing_is_ready() -> None:
    assert Readiness(Traffic(), catalog(over("a", Probed(GOOD)))).reasons() == ["model a: not probed yet"]


async def test_one_good_replica_makes_a_model_ready_and_one_model_the_gateway() -> None:
    models = catalog(over("a", Probed(BAD), Probed(GOOD)), over("b", Probed(BAD)))
    await watched(models, lambda reasons: not reasons)
    assert repr(Readiness(Traffic(), models)) == "<Readiness ready>"


async def test_without_any_every_model_says_why() -> None:
    wanted = ["model a: it is away", "model b: it is away"]
    models = catalog(over("a", Probed(BAD)), over("b", Probed(BAD)))
    assert await watched(models, lambda reasons: reasons == wanted) == wanted


async def test_a_model_without_replicas_says_so() -> None:
    assert Readiness(Traffic(), catalog(over("a"))).reasons() == ["model a: no replica"]


async def test_a_version_that_nobody_gets_makes_no_model_ready() -> None:
    old, new = over("a", Probed(BAD)), over("a", Probed(GOOD))
    versions = {"1": old.versions["1"], "2": new.versions["1"]}
    copies_only = replace(old, versions=versions, split=Split("a", {"1": 1, "2": 0}, "key"))
    assert await watched(catalog(copies_only), lambda reasons: reasons == ["model a: it is away"])
    canary = replace(copies_only, split=Split("a", {"1": 1, "2": 0.1}, "key"))
    assert await watched(catalog(canary), lambda reasons: not reasons) == []


async def test_p13_a_probe_that_breaks_ends_neither_the_watch_nor_the_others(caplog: pytest.LogCaptureFixture) -> None:
    """P13, P32: it counts as not ready, is logged, tells no text of the exception, and is asked again."""
    caplog.set_level(logging.ERROR)
    models = catalog(over("a", Probed(RuntimeError(SECRET), RuntimeError(SECRET), GOOD)))
    await watched(models, lambda reasons: reasons == ["model a: the probe failed"])
    await watched(models, lambda reasons: not reasons)
    assert "probe broke" in caplog.messages


async def test_draining_is_the_only_reason_then() -> None:
    traffic = Traffic()
    traffic.draining = True
    assert Readiness(traffic, catalog(over("a", Probed(GOOD)))).reasons() == ["draining"]


async def test_before_the_public_address_is_open_nothing_is_ready() -> None:
    readiness = Readiness(Traffic(), catalog(over("a", Probed(GOOD))))
    readiness.listening = False
    assert readiness.reasons() == ["not listening yet"]


async def test_a_replica_that_goes_and_comes_is_told_once_each(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "snowshed")
    await watched(catalog(over("a", Probed(BAD, BAD, GOOD))), lambda reasons: not reasons)
    assert [record.getMessage() for record in caplog.records] == ["replica not ready", "replica ready"]
    away, back = (vars(record) for record in caplog.records)
    assert (away["replica"], away["reason"], back["replica"]) == ("a-0", "it is away", "a-0")


async def test_a_replica_that_starts_as_it_should_alarms_nobody(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "snowshed")
    starting = Health(ready=False, reason="starting", starting=True)
    await watched(catalog(over("a", Probed(starting, GOOD))), lambda reasons: not reasons)
    told = [(record.getMessage(), record.levelname) for record in caplog.records]
    assert told == [("replica starting", "INFO"), ("replica ready", "INFO")]
