"""Every connection to a file that was opened is closed, whatever is going on with it when its engine is closed."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.store.database import address, close, connect
from tests.support.waiting import settle


@pytest.fixture
async def engine(tmp_path: Path) -> AsyncIterator[AsyncEngine]:
    made = connect(address(f"sqlite:///{tmp_path / 'snowshed.db'}"))
    yield made
    await close(made)


async def driver_of(connection: AsyncConnection) -> Any:
    return (await connection.get_raw_connection()).driver_connection


def is_closed(driver: Any) -> bool:
    try:
        return bool(driver.total_changes < 0)
    except ValueError:  # there is no active connection
        return True


async def test_one_that_is_in_use_when_the_others_are_let_go_is_closed_on_its_return(engine: AsyncEngine) -> None:
    """Nobody else would: the pool that it goes back to is asked for nothing any more."""
    async with engine.connect() as connection:
        driver = await driver_of(connection)
        await close(engine)
        assert (await connection.execute(text("SELECT 7"))).scalar_one() == 7
    assert is_closed(driver)


async def test_one_that_goes_back_to_where_it_came_from_is_kept(engine: AsyncEngine) -> None:
    async with engine.connect() as connection:
        driver = await driver_of(connection)
    async with engine.connect() as connection:
        assert await driver_of(connection) is driver


async def test_those_that_are_busy_are_waited_for(engine: AsyncEngine, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what was given up: the driver's thread is at it still. A file, unlike a server, is never silent for ever."""
    monkeypatch.setattr("gateway.store.database.PATIENCE", 0)
    async with engine.connect() as first, engine.connect() as second:
        drivers = [await driver_of(first), await driver_of(second)]
    free = threading.Event()
    for driver in drivers:
        await driver.create_function("wait", 0, free.wait)
    given_up = [asyncio.create_task(driver.execute("SELECT wait()")) for driver in drivers]
    closing = asyncio.create_task(close(engine))
    await settle()
    assert not closing.done()
    free.set()
    await closing
    assert all(map(is_closed, drivers))
    await asyncio.wait(given_up)
