"""A database with its tables, and what reads and writes it."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.database import address, connect
from gateway.store.keys import SqlKeyStore
from gateway.store.migrate import upgrade
from gateway.store.registry import Registry
from tests.support.stored import Clock, KeyBook, Stored


@pytest.fixture
async def engine(database: str) -> AsyncIterator[AsyncEngine]:
    """Without tables."""
    engine = connect(address(database))
    yield engine
    await engine.dispose()


@pytest.fixture
async def stored(database: str, engine: AsyncEngine) -> AsyncIterator[Stored]:
    await upgrade(engine)
    clock = Clock()
    store = SqlKeyStore(address(database))
    await store.open()
    yield Stored(engine, Registry(engine, clock), store, clock)
    await store.aclose()


@pytest.fixture
def book(database: str) -> KeyBook:
    """Of another process, with a tenant in it."""
    book = KeyBook(database)
    book.tenant()
    return book
