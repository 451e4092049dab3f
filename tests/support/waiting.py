"""Waiting for what tells nobody that it has happened: it is looked at again and again, within a deadline."""

from __future__ import annotations

import asyncio
import time
from collections import deque
from collections.abc import Awaitable, Callable, Hashable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds until what must happen is taken not to. Nobody waits that long but for what is broken, so it is no matter
how slow or busy the machine is: what must be soon is measured, and told apart from what must be at all.
"""
FIRST, LONGEST = 0.0005, 0.005
"""Seconds between two looks: each pause is twice the one before, so that what is nearly there is seen at once."""


def unmoved(looks: int = 50) -> Callable[[Hashable], bool]:
    """Enough is what so many looks running have seen: what has no more room says so to nobody, it only stands."""
    seen: deque[Hashable] = deque(maxlen=looks)

    def enough(found: Hashable) -> bool:
        seen.append(found)
        return len(seen) == looks and len(set(seen)) == 1

    return enough


async def until_told(
    ask: Callable[[], Awaitable[T]], enough: Callable[[T], object] = bool, seconds: float = PATIENCE
) -> T:
    """The first answer that is enough; `TimeoutError` with the last one if there is none within `seconds`."""
    last: object = None
    pause = FIRST
    try:
        async with asyncio.timeout(seconds):
            while not enough(found := await ask()):
                last = found
                await asyncio.sleep(pause)
                pause = min(2 * pause, LONGEST)
            return found
    except TimeoutError:
        raise TimeoutError(f"not within {seconds} s; last: {last!r}") from None


async def until(look: Callable[[], T], enough: Callable[[T], object] = bool, seconds: float = PATIENCE) -> T:
    """The same for what is seen without waiting."""

    async def ask() -> T:
        return look()

    return await until_told(ask, enough, seconds)


async def settle() -> None:
    """Until everything else on this loop waits: for time, for the outside world, or for one another."""
    loop = asyncio.get_running_loop()
    await asyncio.sleep(0)
    while loop._ready:  # type: ignore[attr-defined]  # noqa: ASYNC110  # nothing public tells what could run now
        await asyncio.sleep(0)


def wait_until(look: Callable[[], T], enough: Callable[[T], object] = bool, seconds: float = PATIENCE) -> T:
    """The same on a thread without a loop."""
    end = time.monotonic() + seconds
    pause = FIRST
    while not enough(found := look()):
        if time.monotonic() > end:
            raise TimeoutError(f"not within {seconds} s; last: {found!r}")
        time.sleep(pause)
        pause = min(2 * pause, LONGEST)
    return found
