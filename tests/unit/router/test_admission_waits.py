"""How long a wait would be, who is refused for it, and when they may come back."""

from __future__ import annotations

import pytest

from engines.api import Capacity
from router.admission import AT_ONCE, SHEDDING
from router.comebacks import LATEST
from router.fair_queue import Bounds
from router.ticket import Refusal
from tests.support.admission_stage import NEVER, WITHIN, Stage, refused
from tests.support.gates import Noted
from tests.support.waiting import settle


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
    for behind, task in enumerate(task for task in tasks if task.done()):
        told = await refused(task)
        assert told.reason == "too_long"
        wait = 2.0 + 0.5 * behind  # each behind those who were told before
        assert wait <= told.retry_after <= 2 * wait
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


def test_who_is_refused_together_comes_back_apart() -> None:
    stage = Stage()
    waits = [stage.admission.shed(Refusal("queue_full", 20.0), 1, "", 1).retry_after for _ in range(100)]
    assert max(waits) - min(waits) > 10


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


async def test_who_fits_is_not_refused_for_what_waits_and_does_not() -> None:
    stage = Stage(requests=8, kv_tokens=1000)
    await stage.learn(1.0)
    stage.enter(600)
    big = await stage.wait(Noted(800))
    stage.now += 0.2
    assert (stage.admission.wait(1, "", 1, stage.now + WITHIN[1]) or 0) > WITHIN[1], "as the big one is due before"
    small = await stage.wait(Noted(100))
    assert small.done()
    assert await small is stage.replicas[0]
    big.cancel()
