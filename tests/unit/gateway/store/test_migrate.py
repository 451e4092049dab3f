"""The tables come up and go down again on both databases, and are those that the code believes in."""

from __future__ import annotations

import asyncio

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.migrate import current, downgrade, newest, upgrade
from gateway.store.tables import METADATA


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), METADATA))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


async def test_up_down_and_up_again(engine: AsyncEngine) -> None:
    assert await current(engine) == ""
    assert await upgrade(engine) == ("", newest())
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await downgrade(engine) == (newest(), "")
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == {"alembic_version"}
    assert await upgrade(engine) == ("", newest())


async def test_what_is_up_to_date_stays(engine: AsyncEngine) -> None:
    await upgrade(engine)
    assert await upgrade(engine) == (newest(), newest())
    assert await current(engine) == newest()


async def test_several_at_once_make_the_tables_once(engine: AsyncEngine) -> None:
    outcomes = await asyncio.gather(*(upgrade(engine) for _ in range(4)))
    assert sorted(outcomes) == [("", newest()), *[(newest(), newest())] * 3]
