"""The tables come up and go down again on both databases, and are those that the code believes in."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, inspect
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.migrate import HERE, current, downgrade, upgrade
from gateway.store.migrations import NEWEST
from gateway.store.records import Tenant
from gateway.store.registry import Registry
from gateway.store.tables import METADATA
from tests.support.databases import sqlite
from tests.support.gateway import ROOT
from tests.support.stored import SOMEBODY, Clock
from tests.support.waiting import PATIENCE

STARTED = """
import asyncio, sys
from gateway.store.database import address
from gateway.store.keys import SqlKeyStore

async def start():
    store = SqlKeyStore(address(sys.argv[1]))
    await store.open()
    await store.changes(None)
    await store.aclose()

asyncio.run(start())
print("alembic" in sys.modules)
"""


def differences(connection: Connection) -> list[object]:
    return list(compare_metadata(MigrationContext.configure(connection), METADATA))


def tables(connection: Connection) -> set[str]:
    return set(inspect(connection).get_table_names())


def test_the_newest_revision_is_the_last_one() -> None:
    assert ScriptDirectory(HERE).get_current_head() == NEWEST


def test_a_gateway_with_its_tables_does_without_alembic(tmp_path: Path) -> None:
    url = sqlite(tmp_path)
    first, second = (
        subprocess.run(
            [sys.executable, "-c", STARTED, url], cwd=ROOT, capture_output=True, text=True, check=True, timeout=PATIENCE
        ).stdout.strip()
        for _ in range(2)
    )
    assert (first, second) == ("True", "False")


async def test_up_down_and_up_again(engine: AsyncEngine) -> None:
    assert await current(engine) == ""
    assert await upgrade(engine) == ("", NEWEST)
    async with engine.connect() as connection:
        assert await connection.run_sync(differences) == []
    assert await downgrade(engine) == (NEWEST, "")
    async with engine.connect() as connection:
        assert await connection.run_sync(tables) == {"alembic_version"}
    assert await upgrade(engine) == ("", NEWEST)


async def test_what_is_kept_outlasts_a_step_back_and_forth(engine: AsyncEngine) -> None:
    await upgrade(engine)
    registry = Registry(engine, Clock())
    tenant = await registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    key, _ = await registry.create_key("acme", by=SOMEBODY)
    assert await downgrade(engine, "0001") == (NEWEST, "0001")
    assert await upgrade(engine) == ("0001", NEWEST)
    assert (await registry.tenants(), await registry.keys()) == ([tenant], [key])
    assert await registry.audit() == []
    await registry.revoke_key(key.id, by=SOMEBODY)
    assert [entry.action for entry in await registry.audit()] == ["revoke"]


async def test_what_is_up_to_date_stays(engine: AsyncEngine) -> None:
    await upgrade(engine)
    assert await upgrade(engine) == (NEWEST, NEWEST)
    assert await current(engine) == NEWEST


async def test_several_at_once_make_the_tables_once(engine: AsyncEngine) -> None:
    outcomes = await asyncio.gather(*(upgrade(engine) for _ in range(4)))
    assert sorted(outcomes) == [("", NEWEST), *[(NEWEST, NEWEST)] * 3]
