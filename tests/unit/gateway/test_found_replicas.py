"""Replicas that are found by DNS come and go with the addresses of their host, and never because it is silent."""

from __future__ import annotations

from typing import Any

import pytest

from engines.api import EngineError
from router.api import NO_AFFINITY, NoReplica
from tests.support.pools import Sent
from tests.support.upstreams import Names, NotingEngine, configured, model, staged
from tests.support.waiting import until


def found(**discover: Any) -> dict[str, Any]:
    return {
        "name": "m",
        "engine": "openai",
        "discover": {"host": "pods", "every": 0.1, **discover},
        "replicas": [{"url": "http://{address}:1/v1"}],
    }


async def test_replicas_follow_the_addresses_of_their_host() -> None:
    names = Names(pods=["10.0.0.2", "10.0.0.1", "10.0.0.2", "fd00::1"])
    async with staged(configured(found()), names) as stage:
        assert stage.names == ["m-10.0.0.1", "m-10.0.0.2", "m-fd00::1"]
        kept = stage.replica("m-10.0.0.2")
        names.answers["pods"] = ["10.0.0.2", "10.0.0.3"]
        await until(lambda: stage.names == ["m-10.0.0.2", "m-10.0.0.3"])
        assert stage.replica("m-10.0.0.2") is kept
        await until(lambda: stage.engine("m-10.0.0.1").closed and stage.engine("m-fd00::1").closed)
        assert len(stage.upstreams.catalog.snapshot.models["m"].versions["1"].pool.replicas) == 2
        number = stage.upstreams.number
        names.asked.clear()
        await until(lambda: len(names.asked) > 3)  # the same answer is no change
        assert stage.upstreams.number == number


@pytest.mark.parametrize("answer", [(), OSError("no such host")], ids=["empty", "none"])
async def test_no_answer_and_an_empty_one_leave_everything_as_it_is(answer: Any) -> None:
    names = Names(pods=["10.0.0.1"])
    async with staged(configured(found()), names) as stage:
        names.answers["pods"] = answer
        asked = len(names.asked)
        await until(lambda: len(names.asked) >= asked + 3)
        assert stage.names == ["m-10.0.0.1"]
        assert stage.upstreams.number == 2
        names.answers["pods"] = ["10.0.0.9"]
        await until(lambda: stage.names == ["m-10.0.0.9"])


async def test_a_change_while_the_host_is_silent_keeps_what_was_known() -> None:
    names = Names(pods=["10.0.0.1"])
    async with staged(configured(found()), names) as stage:
        names.answers["pods"] = OSError("no such host")
        kept = stage.replica("m-10.0.0.1")
        await stage.upstreams.apply(configured(found(), model("a", name="n")))
        assert stage.names == ["m-10.0.0.1", "n-0"]
        assert stage.replica("m-10.0.0.1") is kept


async def test_a_host_that_is_not_there_yet_keeps_nobody_from_starting() -> None:
    names = Names(pods=OSError("no such host"))
    async with staged(configured(found(), model("a", name="n")), names) as stage:
        assert stage.names == ["n-0"]
        with pytest.raises(NoReplica):
            stage.upstreams.catalog.snapshot.models["m"].versions["1"].pool.pick(NO_AFFINITY)
        names.answers["pods"] = ["10.0.0.1"]
        await until(lambda: stage.names == ["m-10.0.0.1", "n-0"])


async def test_a_found_replica_that_can_not_start_is_tried_again() -> None:
    names = Names(pods=["10.0.0.1"])
    async with staged(configured(found()), names) as stage:
        bad = stage.maker.prepared["m-10.0.0.2"] = NotingEngine()
        bad.failure = EngineError("not yet")
        names.answers["pods"] = ["10.0.0.1", "10.0.0.2"]
        await until(lambda: stage.names == ["m-10.0.0.1", "m-10.0.0.2"])
        assert bad.closed
        assert stage.engine("m-10.0.0.2").started


async def test_what_is_no_longer_asked_for_is_no_longer_looked_up() -> None:
    names = Names(pods=["10.0.0.1"], others=["10.0.0.2"])
    async with staged(configured(found()), names) as stage:
        await stage.upstreams.apply(configured(found(host="others")))
        assert stage.names == ["m-10.0.0.2"]
        names.asked.clear()
        await until(lambda: len(names.asked) >= 3)
        assert set(names.asked) == {"others"}
        await stage.upstreams.apply(configured(model("a")))
        assert stage.names == ["m-0"]


async def test_the_same_address_with_other_options_is_another_replica() -> None:
    async with staged(configured(found()), Names(pods=["10.0.0.1"])) as stage:
        replica = stage.replica("m-10.0.0.1")
        request = Sent(replica)
        replica.active[request] = 0.0
        await stage.upstreams.apply(configured({**found(), "replicas": [{"url": "http://{address}:2/v1"}]}))
        assert stage.names == ["m-10.0.0.1-1"]
        assert not stage.engine("m-10.0.0.1").closed
        del replica.active[request]
        await until(lambda: stage.engine("m-10.0.0.1").closed)
