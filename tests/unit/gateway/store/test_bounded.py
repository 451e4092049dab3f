"""The registry asked over the network: whether somebody rules, and that no failure of the database is anything else."""

from __future__ import annotations

import asyncio
import gc
import sqlite3
import threading
from collections.abc import AsyncIterator
from contextlib import closing
from pathlib import Path

import pytest

from gateway.store.bounded import AT_ONCE, BoundedRegistry
from gateway.store.database import address
from gateway.store.records import Key, NotThere
from gateway.store.registry import Registry
from security.api import StoreAway
from tests.support.databases import PostgresServer
from tests.support.stored import SOMEBODY, KeyBook
from tests.support.waiting import settle, until, until_told


@pytest.fixture
async def registry(book: KeyBook) -> AsyncIterator[BoundedRegistry]:
    made = BoundedRegistry(address(book.url), lambda: 4_000_000_000.0)
    yield made
    await made.aclose()


@pytest.mark.parametrize("scope", ["viewer", "operator", "admin"])
async def test_a_key_with_a_role_is_a_ruler_from_its_making_to_its_end(
    book: KeyBook, registry: BoundedRegistry, scope: str
) -> None:
    assert not await registry.has_ruler()
    book.key()
    book.key(scopes=[scope], expires_in=5)  # which is over by the registry's clock
    book.revoke(book.key(scopes=[scope]))
    assert not await registry.has_ruler()
    book.key(scopes=["inference", scope])
    assert await registry.has_ruler()
    assert await registry.has_ruler()


async def test_a_file_in_the_place_of_another_is_looked_at_whatever_its_number(tmp_path: Path) -> None:
    """A restored or new database may have seen as many changes as the one before."""
    file = tmp_path / "snowshed.db"
    registry = BoundedRegistry(address(f"sqlite:///{file}"), lambda: 0.0)
    for scope in ("inference", "admin"):
        file.unlink(missing_ok=True)
        book = KeyBook(f"sqlite:///{file}")
        book.tenant()
        book.key(scopes=[scope])
        assert await registry.has_ruler() == (scope == "admin")
    await registry.aclose()


async def test_who_leaves_cuts_no_question_short(tmp_path: Path) -> None:
    """The driver's thread would come back to a loop that is closed."""
    file = tmp_path / "snowshed.db"
    book = KeyBook(f"sqlite:///{file}")
    book.tenant()
    key = book.key()
    registry = BoundedRegistry(address(book.url), lambda: 0.0)
    before = set(threading.enumerate())
    with closing(sqlite3.connect(file, isolation_level=None)) as other:
        other.execute("BEGIN IMMEDIATE")
        asked = asyncio.create_task(registry.ask(lambda them: them.revoke_key(key.id, by=SOMEBODY)))
        await until(lambda: set(threading.enumerate()) - before)
        asked.cancel()
        with pytest.raises(asyncio.CancelledError):
            await asked
        ended = asyncio.create_task(registry.aclose())
        await settle()
        assert not ended.done()
        other.execute("ROLLBACK")
        await ended
    assert set(threading.enumerate()) == before


async def given_up(tasks: list[asyncio.Task[Key]]) -> bool:
    """Whether each has been told to stop, though its driver may not have come back."""
    return all(task.cancelling() or task.done() for task in tasks)


async def test_a_change_given_up_leaves_no_lock_behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """SQLite goes on with what nobody waits for, and may get the lock in the end; garbage is collected when it is."""
    monkeypatch.setattr("gateway.store.bounded.PATIENCE", 0.2)
    file = tmp_path / "snowshed.db"
    book = KeyBook(f"sqlite:///{file}")
    book.tenant()
    registry = BoundedRegistry(address(book.url), lambda: 0.0)
    gc.disable()
    try:
        with closing(sqlite3.connect(file, isolation_level=None)) as other:
            other.execute("BEGIN IMMEDIATE")
            asked = [asyncio.create_task(registry.ask(lambda them: them.revoke_key("0", by=SOMEBODY))) for _ in "ab"]
            await until_told(lambda: given_up(asked))
            other.execute("ROLLBACK")
            assert all(isinstance(error, StoreAway) for error in await asyncio.gather(*asked, return_exceptions=True))
            await registry.aclose()
            other.execute("BEGIN IMMEDIATE")
    finally:
        gc.enable()


async def test_a_mistake_stays_one(registry: BoundedRegistry) -> None:
    with pytest.raises(NotThere):
        await registry.ask(lambda them: them.tenant("absent"))


async def test_few_ask_at_a_time(registry: BoundedRegistry) -> None:
    inside, most = 0, 0

    async def work(_: Registry) -> None:
        nonlocal inside, most
        inside += 1
        most = max(most, inside)
        for _turn in range(5):
            await asyncio.sleep(0)
        inside -= 1

    await asyncio.gather(*(registry.ask(work) for _ in range(20)))
    assert most == AT_ONCE


async def test_a_file_that_is_gone_is_away_and_not_made_anew(tmp_path: Path) -> None:
    file = tmp_path / "snowshed.db"
    registry = BoundedRegistry(address(f"sqlite:///{file}"), lambda: 0.0)
    with pytest.raises(StoreAway, match="FileNotFoundError"):
        await registry.has_ruler()
    assert not file.exists()
    book = KeyBook(f"sqlite:///{file}")
    book.tenant()
    assert (await registry.ask(lambda them: them.tenant("acme"))).name == "acme"
    file.rename(tmp_path / "old.db")
    KeyBook(f"sqlite:///{file}")  # another one, in its place
    with pytest.raises(NotThere):
        await registry.ask(lambda them: them.tenant("acme"))
    await registry.aclose()


async def test_a_server_that_is_gone_or_silent_is_away(
    postgres: PostgresServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    registry = BoundedRegistry(address(postgres.database()), lambda: 0.0)
    with pytest.raises(StoreAway, match="UndefinedTableError"):
        await registry.ask(lambda them: them.create_key("acme", by=SOMEBODY))
    postgres.freeze()
    with monkeypatch.context() as hasty:
        hasty.setattr("gateway.store.bounded.PATIENCE", 0.5)
        with pytest.raises(StoreAway, match="TimeoutError"):
            await registry.has_ruler()
    postgres.thaw()
    postgres.stop()
    with pytest.raises(StoreAway):
        await registry.has_ruler()
    postgres.start()
    await registry.aclose()
