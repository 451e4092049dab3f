"""What goes on beside requests ends when it is told to, whoever may have caught that."""

from __future__ import annotations

import asyncio
from contextlib import suppress

from security.limits.going import goes_on


async def test_a_loop_ends_though_what_it_awaits_has_caught_its_cancellation() -> None:
    started = asyncio.Event()

    async def go_on() -> int:
        turns = 0
        while goes_on():
            turns += 1
            started.set()
            with suppress(asyncio.CancelledError):
                await asyncio.Event().wait()
        return turns

    going = asyncio.create_task(go_on())
    await started.wait()
    going.cancel()
    assert await going == 1


async def test_a_timeout_of_its_own_is_no_end() -> None:
    with suppress(TimeoutError):
        async with asyncio.timeout(0):
            await asyncio.Event().wait()
    assert goes_on()
