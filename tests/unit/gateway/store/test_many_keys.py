"""Thousands of keys at once, invented or changed: whoever asks meanwhile is answered, on both databases."""

from __future__ import annotations

import asyncio
import gc
import time
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager, suppress

import pytest
import uvloop
from sqlalchemy import insert

from gateway.store.database import address, connect
from gateway.store.keys import SqlKeyStore
from gateway.store.tables import KEYS
from security.api import Changes, Grant, StoreAway, Unauthenticated
from security.authenticator import KeyAuthenticator
from security.keys import NewKey, mint
from security.lookups import BATCH
from tests.support.stored import SOMEBODY, KeyBook
from tests.support.waiting import PATIENCE

FLOOD = 1000
"""Invented keys that wait for an answer at any time."""
TURNS = 2 * FLOOD // BATCH
"""Questions about others' keys that go before: twice as many as needed for those that wait."""


def headers(key: NewKey) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key.text}".encode()}


class CountingStore(SqlKeyStore):
    """Knows how many times it was asked for keys, in all and before it last told news."""

    asked = heard = 0

    async def find_many(self, key_ids: Collection[str]) -> Mapping[str, Grant]:
        self.asked += 1
        return await super().find_many(key_ids)

    async def changes(self, since: int | None) -> Changes:
        changes = await super().changes(since)
        self.heard = self.asked
        return changes


@pytest.fixture
def store(book: KeyBook, monkeypatch: pytest.MonkeyPatch) -> CountingStore:
    """However slow the machine is: who has to wait behind others is told by their number."""
    for module in ("database", "keys"):
        monkeypatch.setattr(f"gateway.store.{module}.PATIENCE", PATIENCE)
    return CountingStore(address(book.url))


@pytest.fixture
async def checks(store: CountingStore) -> AsyncIterator[KeyAuthenticator]:
    checks = KeyAuthenticator(store, 900.0, time.monotonic, time.time)
    await checks.start()
    yield checks
    await checks.aclose()


async def invent(checks: KeyAuthenticator) -> None:
    while True:
        with suppress(Unauthenticated, StoreAway):
            await checks.learn(headers(mint()))
        await asyncio.sleep(0)


async def test_a_new_key_is_let_in_and_news_are_heard_during_a_flood_of_invented_ones(
    book: KeyBook, store: CountingStore, checks: KeyAuthenticator
) -> None:
    """Who invents keys could else shut out who just got one, or make the database seem away."""
    keys = [book.key() for _ in range(5)]
    flood = [asyncio.create_task(invent(checks)) for _ in range(FLOOD)]
    try:
        for key in keys:
            before = store.asked
            async with asyncio.timeout(PATIENCE):
                principal = await checks.learn(headers(key))
                learned = store.asked
                await checks.refresh()
            assert (principal.key_id, checks.trouble) == (key.id, "")
            assert learned - before <= TURNS
            assert store.heard - learned <= TURNS
    finally:
        for each in flood:
            each.cancel()
        await asyncio.wait(flood)


@asynccontextmanager
async def pauses() -> AsyncIterator[list[float]]:
    """Seconds of this thread's work each time that others on its loop had to wait, without the garbage collector's."""
    found: list[float] = []

    async def measure() -> None:
        last = time.thread_time()
        while True:
            await asyncio.sleep(0)
            now = time.thread_time()
            found.append(now - last)
            last = now

    measuring = asyncio.create_task(measure())
    gc.disable()
    try:
        yield found
        await asyncio.sleep(0)
    finally:
        gc.enable()
        measuring.cancel()


def test_ten_thousand_changed_keys_arrive_without_a_long_pause(book: KeyBook) -> None:
    """A change of a tenant is one of all its keys; requests and streams are served meanwhile, on the server's loop."""
    uvloop.run(bring_many(book))


async def bring_many(book: KeyBook) -> None:
    ids = [f"{number:012x}" for number in range(10_000)]
    same = {"tenant": "acme", "label": "", "digest": b"", "scopes": ["inference"], "models": ["a"], "created": 0}
    engine = connect(address(book.url))
    async with engine.begin() as connection:
        await connection.execute(insert(KEYS), [{"id": key_id, "revision": 0, **same} for key_id in ids])
    await engine.dispose()
    store = SqlKeyStore(address(book.url))
    await store.open()
    before = await store.changes(None)
    book.do(lambda registry: registry.change_tenant("acme", weight=5, by=SOMEBODY))
    async with pauses() as found:
        changes = await store.changes(before.revision)
    await store.aclose()
    assert [(grant.principal.key_id, grant.principal.weight) for grant in changes.grants] == [(it, 5) for it in ids]
    assert changes.revision == before.revision + 1
    assert max(found) < 0.1, "3 ms on a quiet machine"
