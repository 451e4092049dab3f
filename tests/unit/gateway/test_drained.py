"""What is drained by hand, replica or version, stays so over changes of the configuration."""

from __future__ import annotations

import pytest

from gateway.overrides import Overrides
from router.api import NO_AFFINITY, NoReplica, Replica
from tests.support.upstreams import Stage, configured, model, staged


def pick(stage: Stage, version: str = "1") -> Replica:
    return stage.upstreams.catalog.snapshot.models["m"].versions[version].pool.pick(NO_AFFINITY)


async def test_a_replica_is_drained_by_hand_and_stays_so_over_changes() -> None:
    async with staged(configured(model("a", "b"))) as stage:
        stage.upstreams.drain("m-0")
        assert {pick(stage).name for _ in range(20)} == {"m-1"}
        await stage.upstreams.apply(configured(model("a", "c")))
        assert {pick(stage).name for _ in range(20)} == {"m-2"}
        stage.upstreams.undrain("m-0")
        assert {pick(stage).name for _ in range(50)} == {"m-0", "m-2"}
        with pytest.raises(KeyError):
            stage.upstreams.drain("m-1")


async def test_a_drained_version_drains_replicas_that_come_later_and_those_drained_by_hand_stay() -> None:
    async with staged(configured(model("a", "b"), model("x", version="2"))) as stage:
        stage.upstreams.drain("m-0")
        stage.upstreams.steer(Overrides(drained={"m": frozenset({"1"})}))
        with pytest.raises(NoReplica):
            pick(stage)
        await stage.upstreams.apply(configured(model("a", "b", "c"), model("x", version="2")))
        with pytest.raises(NoReplica):
            pick(stage)
        assert pick(stage, version="2").name == "m@2-0"
        stage.upstreams.undrain("m-1")  # its version still is
        assert stage.replica("m-1").draining
        stage.upstreams.steer(Overrides())
        assert {pick(stage).name for _ in range(50)} == {"m-1", "m-2"}
