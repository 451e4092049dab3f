"""Series of queues and limits: there from the start, one set per version however many models share it, and true."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, cast, get_args

from prometheus_client.parser import text_string_to_metric_families

from engines.api import Engine
from gateway.admission_metrics import AdmissionMetrics, Limit, backlog, uses
from router.admission import Admission
from router.api import Rank, Reason, Replica
from router.cost import Finished
from router.limits import Limits
from tests.support.gates import Noted
from tests.support.models import catalog, made_of

Samples = Mapping[str, list[tuple[dict[str, str], float]]]


@dataclass(eq=False)
class Waiting:
    """Something that stands in a queue."""

    rank: Rank = 1
    tenant: str = "acme"
    weight: int = 1
    due: float = 10.0
    charge: float = 100.0
    work: float = 0.5
    size: int = 1000


def wait(admission: Admission, *tickets: Waiting) -> None:
    for ticket in tickets:
        admission.queue.add(cast("Any", ticket))


def replica(name: str = "a-0") -> Replica:
    return Replica(name, cast("Engine", object()))


def shown(metrics: AdmissionMetrics) -> Samples:
    """Labels and values by the sample's name."""
    found: dict[str, Any] = {}
    for family in text_string_to_metric_families("".join(metrics.lines())):
        for sample in family.samples:
            found.setdefault(sample.name, []).append((sample.labels, sample.value))
    return found


def by_class(samples: Samples, name: str) -> dict[str, float]:
    return {labels["class"]: value for labels, value in samples[name]}


def test_who_waits_is_told_by_class() -> None:
    model = made_of("a", [replica()])
    wait(model.versions["1"].admission, Waiting(0), Waiting(2), Waiting(2, charge=50.0))
    found = shown(AdmissionMetrics(catalog(model)))
    assert by_class(found, "snowshed_queue_depth") == {"critical": 1, "standard": 0, "batch": 2}
    assert by_class(found, "snowshed_queue_tokens") == {"critical": 100, "standard": 0, "batch": 150}
    labels, _ = found["snowshed_queue_depth"][0]
    assert labels == {"model": "a", "version": "a@1", "class": "critical"}


def test_a_backlog_is_told_once_the_pace_is_known() -> None:
    """Two requests of half a second wait; of as much work each of two places is rid within half a second."""
    busy = replica()
    admission = made_of("a", [busy]).versions["1"].admission
    assert backlog(admission, 1) == 0.0
    wait(admission, Waiting(), Waiting())
    assert backlog(admission, 1) is None
    busy.active = {Noted(): 1.0, Noted(): 1.0}
    held = Finished(
        "acme", "a-0", 10, 10, capped=False, exact=True, body=40, begun=0.1, held=1.0, whole=False, beside=1, work=1.0
    )
    admission.costs.learn([held])
    assert backlog(admission, 1) == 0.5
    assert backlog(admission, 2) == 0.0


def test_series_without_a_value_yet_are_left_out_but_not_their_family() -> None:
    model = made_of("a", [replica()])
    wait(model.versions["1"].admission, Waiting())
    metrics = AdmissionMetrics(catalog(model))
    assert by_class(shown(metrics), "snowshed_queue_backlog_seconds") == {"critical": 0, "batch": 0}
    assert "# TYPE snowshed_queue_backlog_seconds gauge\n" in "".join(metrics.lines())


def test_refusals_are_told_by_class_and_reason_from_the_start() -> None:
    model = made_of("a", [replica()])
    admission = model.versions["1"].admission
    metrics = AdmissionMetrics(catalog(model))
    before = shown(metrics)["snowshed_shed_total"]
    assert len(before) == 3 * len(get_args(Reason))
    assert not any(value for _, value in before)
    admission.refused["too_long", 2] += 3
    (told,) = [(labels, value) for labels, value in shown(metrics)["snowshed_shed_total"] if value]
    assert told == ({"model": "a", "version": "a@1", "class": "batch", "reason": "too_long"}, 3)


def test_use_is_of_what_a_replica_may_have_now() -> None:
    busy = replica()
    models = catalog(made_of("a", [busy]))
    busy.limits = Limits(8, 1000, 4000)
    busy.room = busy.limits.by_rank(0.5)  # it is coming back slowly
    busy.active = {Noted(): 1.0, Noted(): 2.0}
    busy.prompts, busy.tokens, busy.others = 100, 600, 400.0
    assert list(uses(busy)) == [("requests", 2, 4), ("prompt_tokens", 100, 500.0), ("kv_tokens", 1000.0, 2000.0)]
    found = shown(AdmissionMetrics(models))["snowshed_replica_utilisation"]
    assert {labels["limit"]: value for labels, value in found} == {
        "requests": 0.5, "prompt_tokens": 0.2, "kv_tokens": 0.5
    }  # fmt: skip
    assert len(found) == len(get_args(Limit))


def test_adapters_and_the_model_whose_replicas_they_share_have_one_set() -> None:
    model = made_of("a", [replica()])
    models = catalog(model, replace(model, name="a:adapter"), made_of("b", [replica("b-0")]))
    found = shown(AdmissionMetrics(models))
    assert [labels["model"] for labels, _ in found["snowshed_queue_depth"]] == ["a"] * 3 + ["b"] * 3
    assert [labels["replica"] for labels, _ in found["snowshed_replica_utilisation"]] == ["a-0"] * 3 + ["b-0"] * 3
