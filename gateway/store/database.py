"""The way to the database: an engine for either kind of URL, bounded in connections and in time."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import suppress
from functools import partial
from typing import Any, Final

import aiosqlite
from sqlalchemy import URL, NullPool, make_url
from sqlalchemy.exc import ArgumentError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import AsyncAdaptedQueuePool, ConnectionPoolEntry

DRIVERS: Final = {
    "sqlite": "sqlite+aiosqlite",
    "sqlite+aiosqlite": "sqlite+aiosqlite",
    "postgres": "postgresql+asyncpg",
    "postgresql": "postgresql+asyncpg",
    "postgresql+asyncpg": "postgresql+asyncpg",
}
OPTIONS: Final = {
    "sslmode": "ssl",
    "host": "host",
    "port": "port",
    "prepared_statement_cache_size": "prepared_statement_cache_size",
}
"""What a URL may say after its `?`, and how the driver calls it; that would fail at what it does not know."""
CONNECTIONS: Final = 4
PATIENCE: Final = 2.0
"""Seconds for a connection, and for what a request waits for."""
WRITE: Final = 5.0
"""Seconds that SQLite waits for another process's write."""


def address(url: str) -> URL:
    """With the driver that is used here. Raises ValueError, without the URL: it may hold a password."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):  # a port that is none would be quoted, and may be a piece of the password
        raise ValueError("takes a URL like sqlite:///snowshed.db or postgresql://user@host/name") from None
    if found.drivername not in DRIVERS:
        raise ValueError(f"takes {' or '.join(sorted({'sqlite', 'postgresql'}))}, not {found.drivername}")
    if found.drivername.startswith("sqlite") and found.database in (None, "", ":memory:"):
        raise ValueError("needs a file: sqlite:///snowshed.db")
    if other := found.query.keys() - OPTIONS.keys():
        raise ValueError(f"takes {', '.join(OPTIONS)} after the ?, not {min(other)}")
    query = {OPTIONS[name]: value for name, value in found.query.items()}
    return found.set(drivername=DRIVERS[found.drivername], query=query)


def connect(url: URL, *, keeping: bool = True) -> AsyncEngine:
    """An engine that opens connections when they are first asked for, and, unless it is `keeping` them, each time.

    Raises ValueError without the driver.
    """
    driver: dict[str, Any] = {"connect_args": {"timeout": PATIENCE}}
    if is_sqlite(url):
        driver = {"async_creator": partial(_open, str(url.database))}
    pool: dict[str, Any] = {"poolclass": NullPool}
    if keeping:
        pool = {
            "poolclass": _Pool,
            "pool_size": CONNECTIONS,
            "max_overflow": 0,
            "pool_timeout": PATIENCE,
            "pool_pre_ping": True,
        }
    try:
        return create_async_engine(url, **pool, **driver, hide_parameters=True)  # which errors would quote otherwise
    except ImportError:
        raise ValueError("needs a driver for PostgreSQL: install snowshed[postgres]") from None


async def close(engine: AsyncEngine) -> None:
    """Its connections too, but for those in use, which close when they come back; more can be opened.

    A server has to take leave of them in time: the driver would wait for it for ever. What is at a file comes to an
    end.
    """
    with suppress(TimeoutError):
        async with asyncio.timeout(None if is_sqlite(engine.url) else PATIENCE):
            await engine.dispose()


def is_sqlite(url: URL) -> bool:
    return url.drivername == DRIVERS["sqlite"]


def comparable(given: str) -> str:
    """As far as a database can compare it: PostgreSQL refuses a zero byte, and neither takes half of a surrogate."""
    return given.partition("\0")[0].encode(errors="replace").decode()


class _Pool(AsyncAdaptedQueuePool):
    """Once it was disposed of, a connection that comes back is closed: it would be handed to nobody any more."""

    _is_over = False

    def dispose(self) -> None:
        self._is_over = True
        super().dispose()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        if self._is_over:
            record.close()
        else:
            super()._do_return_conn(record)


class _Releasing(sqlite3.Connection):
    """Whatever it was doing, its lock goes when it is closed.

    Else SQLite keeps it until Python has collected the last statement, which an error's traceback may hold for long: of
    a question that was given up, for one, that got the lock in the end.
    """

    def close(self) -> None:
        with suppress(sqlite3.Error):  # closed before
            self.rollback()
        super().close()


async def _open(file: str) -> aiosqlite.Connection:
    """With what SQLite must be told on each connection: readers beside a writer, references checked, commits on disk.

    When this fails the connection's thread has ended: what it had to tell yet would meet a loop that is closed.
    """
    opening = aiosqlite.connect(file, timeout=WRITE, factory=_Releasing)
    thread = opening._thread  # noqa: SLF001  # there is no other way to it
    thread.daemon = True  # as SQLAlchemy has it
    try:
        connection = await opening
        await connection.executescript("PRAGMA journal_mode=WAL; PRAGMA foreign_keys=ON; PRAGMA synchronous=FULL")
    except BaseException as error:
        opening.stop()
        if isinstance(error, Exception):  # whoever is cancelled waits for nothing
            await asyncio.to_thread(thread.join)
        raise
    return connection
