"""Thousands of keys at once, invented or changed: whoever asks meanwhile is answered, on both databases."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import suppress

import pytest

from gateway.store.database import address
from gateway.store.keys import SqlKeyStore
from security.api import StoreAway, Unauthenticated
from security.authenticator import KeyAuthenticator
from security.keys import NewKey, mint
from tests.support.stored import KeyBook

FLOOD = 1000
"""Invented keys that wait for an answer at any time."""


def headers(key: NewKey) -> dict[bytes, bytes]:
    return {b"authorization": f"Bearer {key.text}".encode()}


@pytest.fixture
def book(database: str) -> KeyBook:
    book = KeyBook(database)
    book.tenant()
    return book


@pytest.fixture
async def checks(book: KeyBook) -> AsyncIterator[KeyAuthenticator]:
    checks = KeyAuthenticator(SqlKeyStore(address(book.url)), 900.0, time.monotonic, time.time)
    await checks.start()
    yield checks
    await checks.aclose()


async def invent(checks: KeyAuthenticator) -> None:
    while True:
        with suppress(Unauthenticated, StoreAway):
            await checks.learn(headers(mint()))
        await asyncio.sleep(0)


async def test_a_new_key_is_let_in_and_news_are_heard_during_a_flood_of_invented_ones(
    book: KeyBook, checks: KeyAuthenticator
) -> None:
    """Who invents keys could else shut out who just got one, or make the database seem away."""
    keys = [book.key() for _ in range(10)]
    flood = [asyncio.create_task(invent(checks)) for _ in range(FLOOD)]
    try:
        for key in keys:
            async with asyncio.timeout(10):
                principal = await checks.learn(headers(key))
                await checks.refresh()
            assert (principal.key_id, checks.trouble) == (key.id, "")
    finally:
        for each in flood:
            each.cancel()
        await asyncio.wait(flood)
