"""Each replica's series: there from the start, one set per replica however many models share it, and true."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import replace
from random import Random
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from engines.api import Engine, Health, Rejected, TimedOut, Unreachable
from gateway.readiness import Readiness
from gateway.replica_metrics import REASONS, STATES, ReplicaMetrics
from gateway.traffic import Traffic
from router import health
from router.api import Replica
from router.catalog import Catalog
from router.events import Events
from tests.support.gates import Noted
from tests.support.models import catalog, made_of
from tests.support.waiting import until


class Probed:
    """An engine of which only probes are asked."""

    def __init__(self, *, ready: bool) -> None:
        self._ready = ready

    async def probe(self) -> Health:
        return Health(self._ready, "" if self._ready else "it is away")


def replica(name: str, *, ready: bool = True) -> Replica:
    return Replica(name, cast("Engine", Probed(ready=ready)))


def metrics_of(models: Catalog, events: Events | None = None) -> ReplicaMetrics:
    return ReplicaMetrics(models, Readiness(Traffic(), models), events or Events())


def shown(metrics: ReplicaMetrics) -> Mapping[str, list[tuple[dict[str, str], float]]]:
    """Labels and values by the sample's name."""
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families("".join(metrics.lines())):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def test_calls_and_failures_are_those_of_the_replica() -> None:
    busy = replica("a-0")
    busy.calls, busy.active = 7, {Noted(): 1.0, Noted(): 2.0}
    busy.failures.update([Unreachable, TimedOut, TimedOut, Rejected])
    models = catalog(made_of("a", [busy]))
    busy.tokens, busy.weight = 300, 0.25
    found = shown(metrics_of(models))
    who = {"model": "a", "replica": "a-0"}
    assert found["snowshed_replica_calls_total"] == [(who, 7)]
    assert found["snowshed_replica_in_flight"] == [(who, 2)]
    assert found["snowshed_replica_tokens_in_flight"] == [(who, 300)]
    assert found["snowshed_replica_weight"] == [(who, 0.25)]
    failures = {labels["reason"]: value for labels, value in found["snowshed_replica_failures_total"]}
    assert failures == {"unreachable": 1, "overloaded": 0, "failed": 0, "timed_out": 2, "interrupted": 0}


def test_the_series_are_there_before_the_first_call_and_a_shared_replica_has_one_set() -> None:
    """A rate over a series that begins with its first failure does not see that failure."""
    model = made_of("a", [replica("a-0")])
    models = catalog(model, replace(model, name="a:adapter"), made_of("b", [replica("b-0")]))
    found = shown(metrics_of(models))
    assert [labels["model"] for labels, _ in found["snowshed_replica_calls_total"]] == ["a", "b"]
    assert len(found["snowshed_replica_failures_total"]) == 2 * len(REASONS)


def test_the_state_is_one_of_those_that_there_are_and_its_changes_are_counted() -> None:
    good, bad = replica("a-0"), replica("a-1")
    events = Events()
    models = catalog(made_of("a", [good, bad], tell=events.note))
    (pool,) = (version.pool for model in models for version in model.versions.values())
    pool.eject(bad, 5)
    pool.eject(bad, 60)
    found = shown(metrics_of(models, events))
    state = {(labels["replica"], labels["state"]): value for labels, value in found["snowshed_replica_state"]}
    assert {name for name, value in state.items() if value} == {("a-0", "closed"), ("a-1", "ejected")}
    assert len(state) == 2 * len(STATES) == 10
    changes = {(labels["replica"], labels["to"]): value for labels, value in found["snowshed_replica_changes_total"]}
    assert {name: value for name, value in changes.items() if value} == {("a-1", "ejected"): 1}
    assert len(changes) == 10


def test_a_pool_that_panics_shows_it_and_a_shared_one_once() -> None:
    dying = [replica("a-0"), replica("a-1")]
    calm, panicking = made_of("b", [replica("b-0")]), made_of("a", dying)
    models = catalog(panicking, replace(panicking, name="a:adapter"), calm)
    for one in dying:
        one.breaker.eject(0.0, Random(1), "3 failures in a row")
    panicking.versions["1"].pool.refresh()
    found = shown(metrics_of(models))
    assert found["snowshed_pool_panicking"] == [
        ({"model": "a", "version": "a@1"}, 1),
        ({"model": "b", "version": "b@1"}, 0),
    ]


async def test_ready_is_what_the_last_probe_said() -> None:
    replicas = [replica("a-0"), replica("a-1", ready=False)]
    traffic, models = Traffic(), catalog(made_of("a", replicas))
    readiness = Readiness(traffic, models)
    metrics = ReplicaMetrics(models, readiness, Events())
    assert shown(metrics)["snowshed_ready"] == [({}, 0)]
    watching = [asyncio.create_task(health.watch(one)) for one in replicas]
    try:
        await until(lambda: [one.verdict for one in replicas], lambda found: found == ["", "it is away"])
    finally:
        for watch in watching:
            watch.cancel()
    found = shown(metrics)
    assert [value for _, value in found["snowshed_replica_ready"]] == [1, 0]
    assert found["snowshed_ready"] == [({}, 1)]
    traffic.draining = True
    assert shown(metrics)["snowshed_ready"] == [({}, 0)]
