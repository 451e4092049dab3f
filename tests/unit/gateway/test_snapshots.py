"""A configuration comes to models, names and pools; what pools have learnt outlives a change of it."""

from __future__ import annotations

from random import Random

import pytest

from gateway.config import Config
from gateway.overrides import Overrides
from gateway.snapshots import Pools, snapshot
from router.api import Caller
from router.catalog import Snapshot
from router.events import ignore
from router.fair_queue import Bounds
from router.limits import Limits
from router.ticket import Terms
from tests.support.upstreams import NotingMaker, configured, model

NOBODY = Caller()


class Made:
    """Snapshots of one set of pools."""

    def __init__(self) -> None:
        self.maker = NotingMaker()
        self.pools = Pools(lambda: 0.0, Random(1), ignore)

    def of(self, config: Config, overrides: Overrides | None = None) -> Snapshot:
        return snapshot(config, self.maker.homes(config.models, {}), self.pools, overrides or Overrides())


def chosen(made: Snapshot, name: str = "m") -> set[str]:
    random = Random(1)
    return {made.models[name].choose(NOBODY, random)[0].name for _ in range(200)}


def test_versions_are_chosen_by_weight_and_pinned_by_name() -> None:
    made = Made().of(configured(model("a"), model("b", version="2", upstream="up"), model("c", version="3", weight=0)))
    assert chosen(made) == {"1", "2"}
    assert set(made.pins) == {"m@1", "m@2", "m@3"}
    version = made.models["m"].versions["2"]
    assert (version.upstream, version.label) == ("up", "m@2")
    assert [replica.name for replica in version.pool.replicas] == ["m@2-0"]
    assert made.models["m"].only is None


def test_aliases_name_models_with_their_routes() -> None:
    route = {"model": "m", "aliases": ["gpt"], "tenants": ["us"], "fallback": {"models": ["n"], "when": ["outage"]}}
    made = Made().of(configured(model("a"), model("b", name="n"), routing=[route]))
    assert set(made.names) == {"m", "n", "gpt"}
    assert made.names["gpt"] is made.models["m"]
    assert made.models["m"].tenants == frozenset({"us"})
    assert made.models["n"].tenants is None
    fallback = made.models["m"].fallback
    assert fallback is not None
    assert (fallback.models, fallback.on) == (("n",), frozenset({"outage"}))


def test_a_pin_is_that_version_and_no_other_model() -> None:
    routing = [{"model": "m", "aliases": ["gpt"], "fallback": {"models": ["n"]}}]
    made = Made().of(configured(model("a"), model("b", version="2"), model("c", name="n"), routing=routing))
    assert [made.pins[name].fallback for name in ("m@1", "m@2", "gpt@2")] == [None] * 3


def test_drained_versions_get_nobody_by_weight_or_rule_while_others_are_left() -> None:
    route = {"model": "m", "sticky": "none", "rules": [{"version": "2", "tenants": ["us"]}]}
    config = configured(model("a"), model("b", version="2"), routing=[route])
    made = Made()
    ours = Caller(tenant="us")
    assert made.of(config).models["m"].choose(ours, Random(1))[0].name == "2"
    drained = made.of(config, Overrides(drained={"m": frozenset({"2"})}))
    assert chosen(drained) == {"1"}
    assert drained.models["m"].choose(ours, Random(1))[0].name == "1"
    assert "m@2" in drained.pins
    all_drained = made.of(config, Overrides(drained={"m": frozenset({"1", "2"})}))
    assert chosen(all_drained) == {"1", "2"}


@pytest.mark.parametrize(
    ("changed", "kept"),
    [
        (model("a", "z"), True),
        (model("a", weight=9, max_tokens=9), True),
        (model("a", policy="round_robin"), True),
        (model("a", version="2"), False),
    ],
    ids=["replicas", "numbers", "policy", "version"],
)
def test_a_version_keeps_its_pool_and_queue_as_long_as_its_name(changed: dict[str, object], kept: bool) -> None:
    made = Made()
    before = next(iter(made.of(configured(model("a"))).models["m"].versions.values())).admission
    after = next(iter(made.of(configured(changed)).models["m"].versions.values())).admission
    assert (before is after) == kept
    assert list(made.pools.every) == [after]
    assert before.pool.replicas == (() if "version" in changed else after.pool.replicas)
    expected = "RoundRobin" if "policy" in changed else "LeastLoaded"
    assert type(after.pool.policy).__name__ == expected


def test_what_is_set_of_a_version_holds_for_its_queue_and_its_replicas() -> None:
    made = Made()
    first = made.of(configured(model("a"))).models["m"].versions["1"].admission
    assert first.terms == Terms(Bounds(2000, 256 * 1024 * 1024, 0.25), (1.0, 2.0, 10.0))
    assert first.pool.replicas[0].limits == Limits()
    changed = model("a", limits={"requests": 3, "kv_tokens": 99}, start_within={"batch": 7})
    second = made.of(configured(changed, admission={"queue": 5})).models["m"].versions["1"].admission
    assert second is first
    assert first.terms == Terms(Bounds(5, 256 * 1024 * 1024, 0.25), (1.0, 2.0, 7.0))
    assert first.queue.bounds == first.terms.bounds
    assert first.pool.replicas[0].limits == Limits(requests=3, kv_tokens=99)


def test_before_it_has_been_seen_at_work_an_engine_costs_what_its_kind_does() -> None:
    embedded = {"name": "m", "engine": "embedded"}
    costs = [
        next(iter(Made().of(configured(each)).models["m"].versions.values())).admission.costs.work(1000, 0)
        for each in (model("a"), embedded)
    ]
    assert costs == pytest.approx([0.028, 16.0])
