"""The queue in front of the embedded model: bounds, order, and nothing lost on any way out."""

from __future__ import annotations

import asyncio
import random

import pytest

from engines.api import Overloaded
from engines.embedded.slots import Slot, Slots
from tests.support.waiting import settle


def now() -> float:
    return asyncio.get_running_loop().time()


def later(seconds: float = 60) -> float:
    return now() + seconds


async def test_no_more_than_the_slots_are_held_and_the_rest_come_in_order() -> None:
    slots = Slots(2, 8, now)
    order: list[int] = []
    most = 0

    async def one(number: int) -> None:
        nonlocal most
        with await slots.take(later()):
            order.append(number)
            most = max(most, slots.held)
            await asyncio.sleep(0)

    await asyncio.gather(*(one(number) for number in range(10)))
    assert order == list(range(10))
    assert most == 2
    assert (slots.held, slots.waiting) == (0, 0)


async def test_a_full_queue_refuses_at_once_and_says_when_to_come_back() -> None:
    slots = Slots(1, 1, now)
    first = await slots.take(later())
    waiting = asyncio.create_task(slots.take(later()))
    await settle()
    with pytest.raises(Overloaded) as refused:
        await slots.take(later())
    assert refused.value.retry_after is not None
    assert refused.value.retry_after >= 1
    assert slots.waiting == 1
    first.release()
    (await waiting).release()
    assert slots.held == 0


async def test_without_a_queue_only_the_slots_are_given() -> None:
    slots = Slots(1, 0, now)
    with await slots.take(later()), pytest.raises(Overloaded):
        slots.check()
    slots.check()


async def test_a_deadline_that_passes_in_the_queue_is_overload_and_leaves_the_queue() -> None:
    slots = Slots(1, 4, now)
    with await slots.take(later()):
        with pytest.raises(Overloaded, match="deadline"):
            await slots.take(later(0.01))
        assert (slots.held, slots.waiting) == (1, 0)
    assert slots.held == 0


async def test_a_cancelled_waiter_leaves_the_queue() -> None:
    slots = Slots(1, 4, now)
    held = await slots.take(later())
    waiting = asyncio.create_task(slots.take(later()))
    await settle()
    waiting.cancel()
    await asyncio.wait([waiting])
    assert slots.waiting == 0
    held.release()
    assert slots.held == 0


async def test_a_cancellation_in_the_moment_of_the_grant_passes_the_slot_on() -> None:
    slots = Slots(1, 4, now)
    held = await slots.take(later())
    first = asyncio.create_task(slots.take(later()))
    second = asyncio.create_task(slots.take(later()))
    await settle()
    held.release()  # granted to the first ...
    first.cancel()  # ... who is cancelled before it runs again
    (await second).release()
    assert first.cancelled()
    assert (slots.held, slots.waiting) == (0, 0)


async def test_a_slot_granted_after_its_waiter_was_cancelled_goes_to_the_next() -> None:
    slots = Slots(1, 4, now)
    held = await slots.take(later())
    first = asyncio.create_task(slots.take(later()))
    second = asyncio.create_task(slots.take(later()))
    await settle()
    first.cancel()
    held.release()
    (await second).release()
    assert (slots.held, slots.waiting) == (0, 0)


async def test_releasing_twice_frees_one_slot() -> None:
    slots = Slots(2, 0, now)
    one, _other = await slots.take(later()), await slots.take(later())
    one.release()
    one.release()
    assert slots.held == 1


@pytest.mark.parametrize("seed", range(20))
async def test_whatever_is_cancelled_whenever_every_slot_comes_back(seed: int) -> None:
    rng = random.Random(seed)
    slots = Slots(3, 6, now)

    async def one() -> None:
        try:
            slot: Slot = await slots.take(later(rng.choice([0, 60])))
        except Overloaded:
            return
        with slot:
            for _ in range(rng.randrange(4)):
                await asyncio.sleep(0)

    tasks = []
    for _ in range(200):
        tasks.append(asyncio.create_task(one()))
        if rng.random() < 0.4:
            rng.choice(tasks).cancel()
        if rng.random() < 0.5:
            await asyncio.sleep(0)
        assert slots.held <= 3
        assert slots.waiting <= 6
    await asyncio.wait(tasks)
    assert (slots.held, slots.waiting) == (0, 0)
