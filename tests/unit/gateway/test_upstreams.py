"""Replicas are exchanged one change at a time, whole or not at all, and none is lost or closed under a request."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from engines.api import Unreachable
from gateway.config import ConfigError
from gateway.overrides import Overrides
from gateway.readiness import Readiness
from gateway.traffic import Traffic
from router.api import NO_AFFINITY, Replica
from tests.support.pools import Sent
from tests.support.upstreams import NotingEngine, Stage, configured, model, staged
from tests.support.waiting import PATIENCE, settle, until


def busy(replica: Replica) -> Sent:
    """Has it do something until `done`."""
    notes = Sent(replica)
    replica.active[notes] = 0.0
    return notes


def done(notes: Sent) -> None:
    del notes.asked.active[notes]


def pick(stage: Stage, name: str = "m", version: str = "1") -> Replica:
    return stage.upstreams.catalog.snapshot.models[name].versions[version].pool.pick(NO_AFFINITY)


async def test_what_has_not_changed_is_kept_and_the_rest_exchanged() -> None:
    async with staged(configured(model("a", "b"))) as stage:
        kept, gone = stage.replica("m-0"), stage.replica("m-1")
        await stage.upstreams.apply(configured(model("a", "c", max_tokens=7, weight=3)))
        assert stage.names == ["m-0", "m-2"]
        assert stage.replica("m-0") is kept
        assert stage.engine("m-0").started == stage.engine("m-2").started == 1
        await until(lambda: stage.engine("m-1").closed)
        assert (gone.draining, kept.draining) == (True, False)
        assert stage.upstreams.number == 2
        assert stage.upstreams.catalog.snapshot.models["m"].versions["1"].max_tokens == 7


async def test_each_version_has_its_own_replicas_even_on_the_same_server() -> None:
    async with staged(configured(model("a"), model("a", version="2"))) as stage:
        assert stage.names == ["m-0", "m@2-0"]
        two = stage.replica("m@2-0")
        await stage.upstreams.apply(configured(model("a", version="2")))
        assert stage.upstreams.replicas == [two]
        await until(lambda: stage.engine("m-0").closed)


async def test_a_new_replica_gets_nothing_before_it_has_started() -> None:
    async with staged(configured(model("a"))) as stage:
        slow = stage.maker.prepared["m-1"] = NotingEngine()
        slow.hold = asyncio.Event()
        change = asyncio.create_task(stage.upstreams.apply(configured(model("b"))))
        await settle()
        assert stage.names == ["m-0"]
        assert pick(stage).name == "m-0"
        slow.hold.set()
        await change
        assert pick(stage).name == "m-1"


async def test_a_gateway_that_is_ready_stays_so_while_all_its_replicas_are_exchanged() -> None:
    async with staged(configured(model("a"))) as stage:
        readiness = Readiness(Traffic(), stage.upstreams.catalog)
        await until(readiness.reasons, lambda reasons: not reasons)
        await stage.upstreams.apply(configured(model("b")))
        assert stage.names == ["m-1"]
        assert not readiness.reasons()


async def test_new_replicas_that_do_not_show_that_they_are_ready_take_over_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("gateway.upstreams.FIRST_LOOK", 0.01)
    async with staged(configured(model("a"))) as stage:
        silent = stage.maker.prepared["m-1"] = NotingEngine()
        silent.silent = True
        await stage.upstreams.apply(configured(model("b")))
        assert (stage.names, stage.replica("m-1").verdict) == (["m-1"], "not probed yet")


async def _refused(stage: Stage, change: asyncio.Task[None]) -> None:
    with pytest.raises(Unreachable, match=r"^Replica m-2: no luck$"):
        await change


async def _cancelled(stage: Stage, change: asyncio.Task[None]) -> None:
    change.cancel()
    with pytest.raises(asyncio.CancelledError):
        await change


@pytest.mark.parametrize("ended", [_refused, _cancelled])
async def test_a_change_that_fails_half_way_changes_nothing(ended: Any) -> None:
    async with staged(configured(model("a"))) as stage:
        before, kept = stage.upstreams.catalog.snapshot, stage.replica("m-0")
        bad = stage.maker.prepared["m-2"] = NotingEngine()
        if ended is _cancelled:
            bad.hold = asyncio.Event()
        else:
            bad.failure = Unreachable("no luck")
        change = asyncio.create_task(stage.upstreams.apply(configured(model("b", "c", "d"))))
        await settle()
        await ended(stage, change)
        assert stage.upstreams.catalog.snapshot is before
        assert stage.upstreams.number == 1
        assert stage.upstreams.replicas == stage.maker.replicas == [kept]
        assert not kept.draining
        assert [stage.engine(f"m-{n}").closed for n in (1, 2, 3)] == [1, 1, 1]
        await stage.upstreams.apply(configured(model("b", "c")))
        assert [stage.engine(name).started for name in stage.names] == [1, 1]


async def test_a_secret_that_is_not_there_is_told_and_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    async with staged(configured(model("a"))) as stage:
        replicas = [
            {"url": "http://127.0.0.1:1/v1"},
            {"url": "http://127.0.0.1:2/v1", "api_key": {"env": "NO_SUCH_KEY"}},
        ]
        with pytest.raises(ConfigError, match="NO_SUCH_KEY is not set"):
            await stage.upstreams.apply(configured({"name": "m", "engine": "openai", "replicas": replicas}))
        assert stage.names == [replica.name for replica in stage.maker.replicas] == ["m-0"]


async def test_changes_come_one_after_the_other() -> None:
    async with staged(configured(model("a"))) as stage:
        slow = stage.maker.prepared["m-1"] = NotingEngine()
        slow.hold = asyncio.Event()
        first = asyncio.create_task(stage.upstreams.apply(configured(model("b"))))
        second = asyncio.create_task(stage.upstreams.apply(configured(model("b", "c"))))
        await settle()
        slow.hold.set()
        await asyncio.gather(first, second)
        assert stage.names == ["m-1", "m-2"]
        assert (slow.started, slow.closed) == (1, 0)


async def test_a_change_waits_until_all_has_started() -> None:
    stage = Stage(configured(model("a")))
    slow = stage.engine("m-0")
    slow.hold = asyncio.Event()
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        start = asyncio.create_task(stage.upstreams.start(tasks))
        await settle()
        change = asyncio.create_task(stage.upstreams.apply(configured(model("b"))))
        await settle()
        assert (stage.names, slow.closed) == (["m-0"], 0)
        slow.hold.set()
        await asyncio.gather(start, change)
        assert stage.names == ["m-1"]
        await stage.upstreams.aclose()


async def test_who_steers_waits_for_no_other_change() -> None:
    async with staged(configured(model("a"))) as stage:
        slow = stage.maker.prepared["m-1"] = NotingEngine()
        slow.hold = asyncio.Event()
        change = asyncio.create_task(stage.upstreams.apply(configured(model("a", "b"))))
        await settle()
        stage.upstreams.steer(Overrides(drained={"m": frozenset({"1"})}))
        assert stage.replica("m-0").draining
        slow.hold.set()
        await change
        assert [replica.draining for replica in stage.upstreams.replicas] == [True, True]


async def test_a_replica_that_is_gone_ends_what_it_has_before_it_is_closed() -> None:
    async with staged(configured(model("a"))) as stage:
        gone = stage.replica("m-0")
        request = busy(gone)
        await stage.upstreams.apply(configured(model("b")))
        await settle()
        assert gone.draining
        assert not stage.engine("m-0").closed
        assert gone in stage.maker.replicas
        done(request)
        await until(lambda: stage.engine("m-0").closed)
        await until(lambda: gone not in stage.maker.replicas)


async def test_a_replica_that_does_not_end_is_closed_when_its_time_is_over() -> None:
    server = {"drain_cap": 0.1}
    async with staged(configured(model("a"), server=server)) as stage:
        request = busy(stage.replica("m-0"))
        await stage.upstreams.apply(configured(model("b"), server=server))
        await until(lambda: stage.engine("m-0").closed)
        done(request)


async def test_a_replica_that_is_asked_for_again_is_taken_back() -> None:
    async with staged(configured(model("a"))) as stage:
        replica = stage.replica("m-0")
        request = busy(replica)
        await stage.upstreams.apply(configured(model("b")))
        assert replica.draining
        await stage.upstreams.apply(configured(model("a")))
        assert pick(stage) is replica
        assert not replica.draining
        done(request)
        await until(lambda: stage.engine("m-1").closed)
        assert not stage.engine("m-0").closed
        await stage.upstreams.apply(configured(model("b")))  # a new one: the first m-1 is closed
        await until(lambda: stage.engine("m-0").closed)


async def test_a_replica_that_ends_while_it_is_asked_for_again_is_not_closed() -> None:
    async with staged(configured(model("a"))) as stage:
        replica = stage.replica("m-0")
        request = busy(replica)
        await stage.upstreams.apply(configured(model("b")))
        slow = stage.maker.prepared["m-2"] = NotingEngine()
        slow.hold = asyncio.Event()
        change = asyncio.create_task(stage.upstreams.apply(configured(model("a", "c"))))
        await settle()
        done(request)
        loop = asyncio.get_running_loop()
        ended = loop.time()
        await until(lambda: loop.time() > ended + 0.2)  # several looks at whether it has ended
        assert not stage.engine("m-0").closed
        slow.hold.set()
        await change
        assert stage.names == ["m-0", "m-2"]
        assert not replica.draining
        assert not stage.engine("m-0").closed


async def test_at_the_end_those_that_were_leaving_are_closed_too() -> None:
    async with staged(configured(model("a"))) as stage:
        busy(stage.replica("m-0"))
        await stage.upstreams.apply(configured(model("b")))
    assert [stage.engine(name).closed for name in ("m-0", "m-1")] == [1, 1]


async def test_one_that_can_not_be_closed_ends_nothing_else() -> None:
    async with staged(configured(model("a"))) as stage:
        stage.engine("m-0").close_failure = OSError("broken")
        await stage.upstreams.apply(configured(model("b")))
        await until(lambda: stage.engine("m-0").closed)
        await stage.upstreams.apply(configured(model("b", "c")))
        assert stage.names == ["m-1", "m-0"]  # a number that is free again


async def test_with_another_policy_the_replicas_stay_and_requests_under_way_may_go_on() -> None:
    async with staged(configured(model("a", "b"))) as stage:
        before = stage.upstreams.catalog.snapshot.models["m"].versions["1"].pool
        await stage.upstreams.apply(configured(model("a", "c", policy="round_robin")))
        after = stage.upstreams.catalog.snapshot.models["m"].versions["1"].pool
        assert before is after
        assert {after.pick(NO_AFFINITY).name, after.pick(NO_AFFINITY, [stage.replica("m-0")]).name} <= {"m-0", "m-2"}
