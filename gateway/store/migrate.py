"""Brings a database's tables up to date, or back: Alembic, without files of its own beside the package."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.migrations import NEWEST
from security.api import StoreAway

HERE = Path(__file__).parent / "migrations"
LOCK = 73_050_001
"""Of PostgreSQL's advisory locks, the one of those who migrate: several gateways may start at once."""


async def upgrade(engine: AsyncEngine) -> tuple[str, str]:
    """To the newest revision. Gives the revisions before and after; all or nothing.

    Raises StoreAway for a revision that only a newer version knows.
    """
    async with engine.begin() as connection:
        return await connection.run_sync(_migrate, lambda script, now: script._upgrade_revs("head", now))  # noqa: SLF001


async def downgrade(engine: AsyncEngine, target: str = "base") -> tuple[str, str]:
    """Back to `target`, with what only later revisions can hold lost."""
    async with engine.begin() as connection:
        return await connection.run_sync(_migrate, lambda script, now: script._downgrade_revs(target, now))  # noqa: SLF001


async def current(engine: AsyncEngine) -> str:
    """The revision that the database has, "" before the first."""
    async with engine.connect() as connection:
        return await connection.run_sync(_revision)


# Alembic's own commands make their steps with the same two methods; there are no public ones.
Steps = Callable[[ScriptDirectory, Any], Any]


def _migrate(connection: Connection, steps: Steps) -> tuple[str, str]:
    if connection.dialect.name == "postgresql":
        connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": LOCK})
    else:
        connection.execute(text("BEGIN IMMEDIATE"))  # Python's driver would begin with the first INSERT only
    script = ScriptDirectory(HERE)
    environment = EnvironmentContext(Config(), script, fn=lambda now, _: steps(script, now))
    environment.configure(connection=connection, transactional_ddl=True)
    before = _revision(connection)
    if before > NEWEST:
        raise StoreAway(f"its tables are those of a newer version ({before})")
    with environment:
        environment.run_migrations()
    return before, _revision(connection)


def _revision(connection: Connection) -> str:
    return MigrationContext.configure(connection).get_current_revision() or ""
