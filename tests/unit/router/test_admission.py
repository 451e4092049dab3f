"""Places on replicas: given at once, waited for in turn, and given up whatever happens."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

import pytest

from engines.api import Capacity, Failed
from router.admission import PATIENCE
from router.api import NO_AFFINITY, Affinity, NoReplica, Rank, Replica
from tests.support.admission_stage import WITHIN, Stage
from tests.support.choosing import SaysLoad
from tests.support.gates import Noted
from tests.support.pools import LightestFirst
from tests.support.waiting import settle


class Lost(LightestFirst):
    """A policy that breaks."""

    def pick(self, replicas: Sequence[Replica], affinity: Affinity) -> Replica:
        raise ZeroDivisionError


def test_a_place_is_the_charge_of_a_replica() -> None:
    stage = Stage(2)
    first, second = stage.enter(), stage.enter()
    assert [list(replica.active) for replica in stage.replicas] in ([[first], [second]], [[second], [first]])
    assert stage.admission.enter(Noted(), NO_AFFINITY) is None
    assert not stage.pressed, "nobody waits for having asked"


async def test_a_place_that_is_given_up_goes_to_who_waits_in_turn() -> None:
    stage = Stage()
    holder = stage.enter()
    notes = [Noted(), Noted()]
    tasks = [await stage.wait(each) for each in notes]
    assert stage.pressed == {stage.admission}
    stage.now += 0.5
    await stage.leave(holder)
    assert (tasks[0].done(), tasks[1].done(), notes[0].queued) == (True, False, 0.5)
    assert list(stage.replicas[0].active) == [notes[0]]
    await stage.leave(notes[0], Failed("x"))
    assert await tasks[1] is stage.replicas[0]
    assert (stage.waiting, stage.pressed, stage.pool.freed) == (0, set(), None)


async def test_who_comes_while_others_wait_does_not_pass_them() -> None:
    stage = Stage(requests=2, kv_tokens=100)
    holder = stage.enter(60)
    long = await stage.wait(Noted(60))
    assert stage.admission.enter(Noted(60), NO_AFFINITY) is None
    later = await stage.wait(Noted(60))
    await stage.leave(holder)
    assert (long.done(), later.done()) == (True, False)
    later.cancel()


async def test_a_newcomer_who_would_fit_does_not_barge_past_who_waits() -> None:
    stage = Stage(requests=8, kv_tokens=100)
    holder = stage.enter(60)
    long = await stage.wait(Noted(60))
    assert stage.pool.place(Noted(10), NO_AFFINITY) is stage.replicas[0], "there is room for it"
    assert stage.admission.enter(Noted(10), NO_AFFINITY) is None
    await stage.leave(holder)
    assert long.done()
    assert stage.admission.enter(Noted(10), NO_AFFINITY) is stage.replicas[0], "nobody waits any more"


async def test_the_first_content_of_a_prompt_wakes_who_waits_for_its_room() -> None:
    stage = Stage(requests=8, prompt_tokens=100)
    holder = stage.enter(60)
    waits = await stage.wait(Noted(60))
    assert not waits.done()
    stage.pool.answered(stage.replicas[0], holder)
    await settle()
    assert waits.done(), "without a refresh, and before the holder has left"
    assert holder in stage.replicas[0].active


async def test_what_fits_passes_another_tenants_that_does_not() -> None:
    stage = Stage(requests=8, kv_tokens=100)
    holder = stage.enter(60)
    long, short = Noted(60), Noted(10)
    long.tenant, short.tenant = "long", "short"
    waits = await stage.wait(long)
    passes = await stage.wait(short)
    assert (waits.done(), passes.done()) == (False, True)
    await stage.leave(short)
    await stage.leave(holder)
    assert waits.done()


async def test_what_has_been_passed_for_long_gets_a_replica_kept_free_for_it() -> None:
    stage = Stage(requests=8, kv_tokens=100)  # of which standard has 95
    holder = stage.enter(30)
    long = await stage.wait(Noted(80))
    await stage.rest(PATIENCE + 0.01)
    assert stage.kept is stage.replicas[0]
    short = await stage.wait(Noted(20))
    assert not short.done(), "it would fit, but then the long one would not"
    beside = [await stage.wait(Noted(10)) for _ in range(2)]
    assert [task.done() for task in beside] == [True, False], "so much fits beside it"
    await stage.leave(holder)
    assert (long.done(), short.done()) == (True, False)
    assert stage.kept is None
    for task in (short, *beside):
        task.cancel()


async def test_a_replica_is_not_kept_free_from_the_classes_above() -> None:
    stage = Stage(requests=8, kv_tokens=100)
    stage.enter(50)
    big = await stage.wait(Noted(80, rank=2))
    await stage.rest(PATIENCE + 0.01)
    assert stage.kept is stage.replicas[0]
    urgent, idle = await stage.wait(Noted(10, rank=0)), await stage.wait(Noted(10, rank=2))
    assert (big.done(), urgent.done(), idle.done()) == (False, True, False)
    big.cancel()
    await settle()
    assert idle.done()


async def test_where_a_replica_that_is_kept_free_gets_no_more_work_another_one_is() -> None:
    stage = Stage(replicas=2, requests=8, kv_tokens=100)
    for _ in stage.replicas:
        stage.enter(50)
    big = await stage.wait(Noted(80))
    await stage.rest(PATIENCE + 0.01)
    kept = stage.kept
    assert kept is not None
    kept.draining = True
    await stage.rest(0.1)
    assert {kept, stage.kept} == set(stage.replicas)
    big.cancel()


def of(tenant: str) -> Noted:
    notes = Noted()
    notes.tenant = tenant
    return notes


async def test_a_longer_answer_than_expected_is_charged_to_its_tenant_before_its_next_turn() -> None:
    stage = Stage()
    holder, first = stage.enter(), of("long")
    waiting = [await stage.wait(notes) for notes in (first, of("long"), *(of("other") for _ in range(3)))]
    await stage.rest(0.1)
    await stage.leave(holder)
    assert waiting[0].done()
    first.prompt_tokens, first.completion_tokens = 1, 100
    await stage.leave(first)
    await stage.rest(0.1)
    counters = {tenant: counter for tenant, _, _, counter in stage.admission.queue.shares()}
    assert counters["long"] > 200 > counters["other"]
    for task in waiting:
        task.cancel()


@pytest.mark.parametrize("ends", ["cancelled", "too late", "replica gone"])
async def test_a_replica_is_not_kept_free_for_who_is_gone(ends: str) -> None:
    stage = Stage(requests=8, kv_tokens=100)
    stage.enter(60)
    waits = await stage.wait(Noted(60))
    await stage.rest(PATIENCE + 0.01)
    if ends == "cancelled":
        waits.cancel()
        await settle()
    elif ends == "too late":
        await stage.rest(WITHIN[1])
    else:
        stage.admission.replace((), stage.admission.terms)
    assert stage.pool.reserved is None
    await asyncio.wait((waits,))
    assert stage.waiting == 0


async def test_who_leaves_while_waiting_is_gone_at_once() -> None:
    stage = Stage()
    holder = stage.enter()
    first, second = await stage.wait(), await stage.wait()
    first.cancel()
    await settle()
    assert (first.cancelled(), stage.waiting) == (True, 1)
    await stage.leave(holder)
    assert second.done()


async def test_who_breaks_down_in_looking_for_a_place_does_not_stay_in_the_queue() -> None:
    """Else a place would be given to nobody, and held for ever."""
    stage = Stage(replicas=2)
    stage.pool.policy = Lost()
    task = await stage.wait()
    with pytest.raises(ZeroDivisionError):
        await task
    assert stage.waiting == 0


async def test_a_turn_that_comes_in_the_moment_of_leaving_goes_on_to_the_next() -> None:
    stage = Stage()
    holder = stage.enter()
    first, second = await stage.wait(), await stage.wait()
    stage.pool.left(stage.replicas[0], holder, None)  # its turn; it has not noticed yet
    first.cancel()
    await settle()
    assert first.cancelled()
    assert second.done()
    assert stage.replicas[0].in_flight == 1


async def test_leaving_and_a_place_in_the_same_moment_skip_who_leaves() -> None:
    stage = Stage()
    holder = stage.enter()
    first, second = await stage.wait(), await stage.wait()
    first.cancel()  # it has not noticed yet
    stage.pool.left(stage.replicas[0], holder, None)
    await settle()
    assert (first.cancelled(), second.done()) == (True, True)
    assert stage.replicas[0].in_flight == 1


@pytest.mark.parametrize(("rank", "fit"), [(0, 20), (1, 19), (2, 17)])
def test_lower_classes_leave_some_room_to_those_above(rank: Rank, fit: int) -> None:
    stage = Stage(requests=20)
    notes = [Noted(rank=rank) for _ in range(25)]
    assert sum(stage.admission.enter(each, NO_AFFINITY) is not None for each in notes) == fit


async def test_without_replicas_nobody_waits_in_vain() -> None:
    stage = Stage()
    stage.enter()
    waiting = [await stage.wait() for _ in range(3)]
    stage.admission.replace((), stage.admission.terms)
    await settle()
    assert [type(task.exception()) for task in waiting] == [NoReplica] * 3
    assert (stage.waiting, stage.pressed) == (0, set())
    with pytest.raises(NoReplica):
        stage.admission.enter(Noted(), NO_AFFINITY)


async def test_new_replicas_serve_who_waits() -> None:
    stage = Stage()
    stage.enter()
    waiting = await stage.wait()
    other = Replica("r1", SaysLoad())
    stage.admission.replace([*stage.replicas, other], stage.admission.terms)
    assert await waiting is other


async def test_limits_that_an_engine_raises_serve_who_waits() -> None:
    stage = Stage(requests=1)
    stage.pool.capacity = Capacity()
    engine = stage.replicas[0].engine
    assert isinstance(engine, SaysLoad)
    engine.capacity = Capacity(requests=1)
    await stage.rest(0.0)
    stage.enter()
    waiting = await stage.wait()
    engine.capacity = Capacity(requests=2)
    await stage.rest(0.1)
    assert waiting.done()


async def test_a_replica_that_awaits_its_probe_gets_one_however_busy_it_is() -> None:
    stage = Stage(2)
    stuck = stage.enter()
    (broken,) = (replica for replica in stage.replicas if stuck in replica.active)
    stage.enter()
    waiting = await stage.wait()
    stage.pool.eject(broken, 0.5)
    await stage.rest(0.1)
    assert not waiting.done()
    await stage.rest(0.5)
    assert waiting.done()
    assert await waiting is broken


@pytest.mark.parametrize(("cap", "expected"), [(0, 5), (5, 256), (6, 5)], ids=["none", "reached", "not reached"])
async def test_of_answers_that_ended_at_their_cap_nothing_is_learned_of_their_length(cap: int, expected: int) -> None:
    stage = Stage()
    for _ in range(60):
        notes = stage.enter()
        notes.output_cap, notes.answers, notes.completion_tokens = cap, 2, 10
        notes.first_at = stage.now + 0.1
        stage.now += 1.0
        await stage.leave(notes)
        await stage.rest(0.0)
    assert stage.admission.costs.output("", stage.admission.costs.prompt(4), None) == expected
