"""Checks come one after the other, rest in between, and leave nothing held, whoever leaves."""

from __future__ import annotations

import asyncio

import pytest

from security.api import StoreAway
from security.jwt.turns import REST, SLICE, WAITING, Turns
from tests.support.key_door import Clock
from tests.support.waiting import settle


async def test_one_at_a_time_in_the_order_of_their_coming() -> None:
    turns, order = Turns(Clock(0.0)), []

    async def check(number: int) -> None:
        with await turns.take():
            order.append(number)

    with await turns.take():
        checks = [asyncio.ensure_future(check(number)) for number in range(10)]
        await settle()
        assert order == []
        assert repr(turns) == "<Turns 10 waiting, one taken>"
    await asyncio.gather(*checks)
    assert order == list(range(10))
    assert repr(turns) == "<Turns 0 waiting>"


async def test_checks_take_a_quarter_of_the_time() -> None:
    loop = asyncio.get_running_loop()
    turns, checked, began = Turns(loop.time), 0, loop.time()
    while checked < 5:
        with await turns.take():
            end = loop.time() + SLICE
            while loop.time() < end:
                pass
            checked += 1
    assert loop.time() - began >= 4 * SLICE * (1 + REST) * 0.9


async def test_a_check_now_and_then_does_not_wait() -> None:
    clock = Clock(0.0)
    turns = Turns(clock)
    for _ in range(1000):
        with await turns.take():
            clock.now += SLICE
        clock.now += 1.0
    assert repr(turns) == "<Turns 0 waiting>"


async def test_no_more_wait_than_can_be_had() -> None:
    turns = Turns(Clock(0.0))
    with await turns.take():
        waiting = [asyncio.ensure_future(turns.take()) for _ in range(WAITING)]
        await settle()
        with pytest.raises(StoreAway, match="too many"):
            await turns.take()
        for one in waiting:
            one.cancel()
        await settle()
    with await turns.take():
        assert repr(turns) == "<Turns 0 waiting, one taken>"


@pytest.mark.parametrize("steps", range(4))
async def test_who_leaves_at_any_step_leaves_the_turn_to_the_next(steps: int) -> None:
    clock = Clock(0.0)
    turns = Turns(clock)
    with await turns.take():
        clock.now += SLICE  # so that the next one rests first
        leaving = asyncio.ensure_future(turns.take())
        await settle()
    for _ in range(steps):
        await asyncio.sleep(0)
    leaving.cancel()
    clock.now += 1.0
    with await asyncio.wait_for(turns.take(), 60.0):
        assert leaving.cancelled() or leaving.cancelling()
    assert repr(turns) == "<Turns 0 waiting>"


async def test_a_check_that_fails_gives_its_turn_back() -> None:
    turns = Turns(Clock(0.0))
    with pytest.raises(ValueError, match="bad"), await turns.take():
        raise ValueError("bad")
    assert repr(turns) == "<Turns 0 waiting>"
