"""Engines started for the length of a block, over a sweeper that sweeps."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from typing import TypeVar

from engines.api import Engine
from engines.sweeper import Sweeper

E = TypeVar("E", bound=Engine)


@contextlib.asynccontextmanager
async def sweeping() -> AsyncIterator[Sweeper]:
    sweeper = Sweeper()
    task = asyncio.create_task(sweeper.run(lambda _now: None))
    try:
        yield sweeper
    finally:
        task.cancel()


@contextlib.asynccontextmanager
async def started(engine: E) -> AsyncIterator[E]:
    """Closed after the block, and where it does not start."""
    try:
        await engine.start()
        yield engine
    finally:
        await engine.aclose()
