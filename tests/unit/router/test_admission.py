"""Places on replicas: given at once, waited for in turn, refused in time, and given up whatever happens."""

from __future__ import annotations

import asyncio
from random import Random

import pytest

from engines.api import Capacity, Failed
from router.admission import AT_ONCE, LATEST, PATIENCE, SHEDDING, SOONEST, Admission
from router.api import NO_AFFINITY, NoReplica, Rank, Replica, Shed
from router.fair_queue import Bounds
from router.pool import Pool
from router.ticket import Terms
from tests.support.choosing import SaysLoad
from tests.support.gates import Noted
from tests.support.pools import LightestFirst
from tests.support.waiting import settle

WITHIN = (1.0, 2.0, 10.0)
NEVER = 1e9


class Stage:
    """Replicas of so many places behind an admission; everything takes place at `now`."""

    def __init__(self, replicas: int = 1, bounds: Bounds | None = None, **capacity: int) -> None:
        self.now = 1000.0
        self.replicas = [Replica(f"r{number}", SaysLoad()) for number in range(replicas)]
        self.pool = Pool("m@1", (), LightestFirst(), lambda: self.now, Random(1))
        self.pool.capacity = Capacity(**{"requests": 1, **capacity})
        self.pressed: set[Admission] = set()
        terms = Terms(bounds or Bounds(), WITHIN)
        self.admission = Admission(self.pool, terms, lambda: self.now, Random(1), self.pressed)
        self.admission.replace(self.replicas, terms)

    def enter(self, tokens: int = 1, rank: Rank = 1) -> Noted:
        """A place, at once."""
        notes = Noted(tokens, rank=rank)
        assert self.admission.enter(notes, NO_AFFINITY) is not None
        return notes

    async def wait(self, notes: Noted | None = None, deadline: float = NEVER) -> asyncio.Task[Replica]:
        """In the queue, or beyond it already."""
        turn = self.admission.turn(notes or Noted(), NO_AFFINITY, deadline)
        task = asyncio.get_running_loop().create_task(turn)
        await settle()
        return task

    async def leave(self, notes: Noted, error: BaseException | None = None, replica: int = 0) -> None:
        self.pool.left(self.replicas[replica], notes, error)
        await settle()

    async def rest(self, seconds: float) -> None:
        self.now += seconds
        self.admission.refresh()
        await settle()

    async def learn(self, held: float) -> None:
        """From one that had its place for so many seconds."""
        notes = self.enter()
        self.now += held
        await self.leave(notes)
        await self.rest(0.0)

    @property
    def kept(self) -> Replica | None:
        """What is kept free."""
        return self.pool.reserved

    @property
    def waiting(self) -> int:
        return len(self.admission.queue)


async def refused(task: asyncio.Task[Replica]) -> Shed:
    with pytest.raises(Shed) as told:
        await task
    return told.value


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
    stage = Stage(requests=8, kv_tokens=100)
    holder = stage.enter(60)
    long = Noted(60)
    long.tenant = "long"
    waits = await stage.wait(long)
    await stage.rest(PATIENCE + 0.01)
    assert stage.pool.reserved is stage.replicas[0]
    short = await stage.wait(Noted(10))
    assert not short.done(), "it would fit, but it is not its turn"
    await stage.leave(holder)
    assert (waits.done(), short.done()) == (True, True)
    assert stage.kept is None


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


async def test_as_long_as_nothing_has_ended_nobody_is_refused_for_what_might_be() -> None:
    stage = Stage()
    stage.enter()
    tasks = [await stage.wait() for _ in range(50)]
    assert not any(task.done() for task in tasks)
    assert stage.admission.wait(1, "", 1) is None
    await stage.rest(WITHIN[1] + 0.01)
    assert {(await refused(task)).reason for task in tasks} == {"too_late"}
    assert stage.admission.refused == {("too_late", 1): 50}


async def test_who_would_have_to_wait_for_too_long_is_refused_at_once() -> None:
    """One place of half a second: three may wait for 1.5 s, of the 1.6 s that 0.8 of their patience is."""
    stage = Stage()
    await stage.learn(0.5)
    stage.enter()
    tasks = [await stage.wait() for _ in range(8)]
    assert sum(task.done() for task in tasks) == 4
    assert stage.waiting == 4  # the last of them would be served after 1.5 s
    told = await refused(tasks[-1])
    assert told.reason == "too_long"
    assert SOONEST <= told.retry_after <= 2 * 2.0
    assert stage.pool.shedding
    await stage.rest(SHEDDING + 0.01)
    assert not stage.pool.shedding
    for task in tasks:
        task.cancel()


async def test_one_long_request_tells_nothing_of_the_wait_behind_short_ones() -> None:
    stage = Stage()
    long = stage.enter(10_000)
    stage.now += 12.0
    await stage.leave(long)
    await stage.rest(0.0)
    stage.enter(100)
    tasks = [await stage.wait(Noted(100)) for _ in range(6)]
    assert not any(task.done() for task in tasks)
    assert stage.admission.wait(1, "", 1) == pytest.approx(6 * 0.12)
    for task in tasks:
        task.cancel()


async def test_behind_a_long_request_short_ones_wait_as_long_as_it_takes() -> None:
    stage = Stage()
    short = stage.enter(100)
    stage.now += 0.12
    await stage.leave(short)
    await stage.rest(0.0)
    stage.enter(100)
    waits = await stage.wait(Noted(10_000), deadline=stage.now + 60)
    assert stage.admission.wait(1, "", 1) == pytest.approx(12.0)
    waits.cancel()


async def test_what_is_due_later_is_not_ahead_and_is_passed_by_its_own_tenants_too() -> None:
    stage = Stage(requests=8, kv_tokens=100)
    await stage.learn(1.0)
    holder = stage.enter(60)
    big = await stage.wait(Noted(90_000))  # one is patient for 10.8 s more
    assert stage.admission.wait(1, "", 1, due=stage.now + 2) == 0.0
    small = await stage.wait(Noted(10))
    assert (big.done(), small.done()) == (False, True)
    await stage.leave(holder)
    big.cancel()


async def test_it_is_told_to_come_back_when_its_turn_might_be() -> None:
    stage = Stage()
    await stage.learn(100.0)
    stage.enter()
    waiting = await stage.wait(deadline=NEVER)
    told = await refused(await stage.wait())
    assert LATEST <= told.retry_after <= 2 * LATEST
    waiting.cancel()


async def test_its_own_deadline_counts_where_that_is_sooner() -> None:
    stage = Stage()
    stage.enter()
    waiting = await stage.wait(deadline=stage.now + 0.3)
    await stage.rest(0.2)
    assert not waiting.done()
    await stage.rest(0.2)
    assert (await refused(waiting)).reason == "too_late"


async def test_longer_prompts_may_wait_for_longer() -> None:
    stage = Stage()
    stage.enter()
    short, long = await stage.wait(Noted(1)), await stage.wait(Noted(10_000))
    await stage.rest(WITHIN[1] + 0.1)
    assert (short.done(), long.done()) == (True, False)
    long.cancel()
    assert (await refused(short)).reason == "too_late"


async def test_queues_are_bounded_as_a_whole_and_for_each_tenant() -> None:
    stage = Stage(bounds=Bounds(requests=4, share=0.5))
    stage.enter()
    tasks = []
    for tenant in "aabbc":
        notes = Noted()
        notes.tenant = tenant
        tasks.append(await stage.wait(notes))
    assert (await refused(tasks[4])).reason == "queue_full"
    tasks[3].cancel()
    await settle()
    notes = Noted()
    notes.tenant = "a"
    assert (await refused(await stage.wait(notes))).reason == "tenant_full"
    for task in tasks:
        task.cancel()


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


async def test_the_loop_is_not_held_up_by_many_at_once() -> None:
    stage = Stage(requests=2000)
    stage.pool.capacity = Capacity(requests=1)
    stage.admission.replace(stage.replicas, stage.admission.terms)
    stage.enter()
    late = [await stage.wait() for _ in range(AT_ONCE + 10)]
    await stage.rest(WITHIN[1] + 0.01)
    assert sum(task.done() for task in late) == AT_ONCE
    await stage.rest(0.1)
    assert all([(await refused(task)).reason == "too_late" for task in late])
    waiting = [await stage.wait(deadline=NEVER) for _ in range(AT_ONCE + 10)]
    stage.pool.capacity = Capacity(requests=2000)
    stage.admission.replace(stage.replicas, stage.admission.terms)
    await settle()
    assert sum(task.done() for task in waiting) == AT_ONCE
    await stage.rest(0.1)
    assert all(task.done() for task in waiting)
