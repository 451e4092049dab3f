"""Each replica's series: there from the start, one set per replica however many models share it, and true."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from typing import Any, cast

from prometheus_client.parser import text_string_to_metric_families

from engines.api import Engine, Health, Rejected, TimedOut, Unreachable
from gateway.readiness import Readiness
from gateway.replica_metrics import REASONS, ReplicaMetrics
from gateway.traffic import Traffic
from router import health
from router.api import Replica
from tests.support.models import catalog, made_of
from tests.support.waiting import until


class Noted:
    """What is written down of a request."""

    attempts, replica, last_at, paused = 1, "a-0", 0.0, False


class Probed:
    """An engine of which only probes are asked."""

    def __init__(self, *, ready: bool) -> None:
        self._ready = ready

    async def probe(self) -> Health:
        return Health(self._ready, "" if self._ready else "it is away")


def replica(name: str, *, ready: bool = True) -> Replica:
    return Replica(name, cast("Engine", Probed(ready=ready)))


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
    found = shown(ReplicaMetrics(models, Readiness(Traffic(), models)))
    who = {"model": "a", "replica": "a-0"}
    assert found["snowshed_replica_calls_total"] == [(who, 7)]
    assert found["snowshed_replica_in_flight"] == [(who, 2)]
    failures = {labels["reason"]: value for labels, value in found["snowshed_replica_failures_total"]}
    assert failures == {"unreachable": 1, "overloaded": 0, "failed": 0, "timed_out": 2, "interrupted": 0}


def test_the_series_are_there_before_the_first_call_and_a_shared_replica_has_one_set() -> None:
    """A rate over a series that begins with its first failure does not see that failure."""
    shared, other = replica("a-0"), replica("b-0")
    models = catalog(made_of("a", [shared]), made_of("a:adapter", [shared]), made_of("b", [other]))
    found = shown(ReplicaMetrics(models, Readiness(Traffic(), models)))
    assert [labels["model"] for labels, _ in found["snowshed_replica_calls_total"]] == ["a", "b"]
    assert len(found["snowshed_replica_failures_total"]) == 2 * len(REASONS)


async def test_ready_is_what_the_last_probe_said() -> None:
    replicas = [replica("a-0"), replica("a-1", ready=False)]
    traffic, models = Traffic(), catalog(made_of("a", replicas))
    readiness = Readiness(traffic, models)
    metrics = ReplicaMetrics(models, readiness)
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
