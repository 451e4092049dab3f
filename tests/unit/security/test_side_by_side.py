"""Keys and tokens side by side: each is asked what is its own, and one's trouble keeps nobody of the other out."""

from __future__ import annotations

import asyncio

import pytest

from security.api import StoreAway, Unauthenticated
from security.keys import mint
from security.side_by_side import SideBySide
from tests.support.key_door import Door
from tests.support.signing import SigningKey, claims
from tests.support.token_door import TokenDoor
from tests.support.waiting import settle, until


async def ask(checks: SideBySide, shown: str) -> str:
    headers = {b"authorization": f"Bearer {shown}".encode()}
    return (checks.recall(headers) or await checks.learn(headers)).key_id


async def test_each_goes_its_own_way() -> None:
    keys, tokens = Door(), TokenDoor()
    checks = SideBySide(keys.checks, tokens.checks)
    await checks.start()
    key = mint()
    keys.shelf.put(key)
    for _ in range(2):
        assert await ask(checks, key.text) == key.id
        assert await ask(checks, tokens.token()) == "jwt:alice"
    for shown in ("sk-wrong", "a.b", "a.b.c.d", "a.b.c", ""):
        with pytest.raises(Unauthenticated):
            await ask(checks, shown)
    with pytest.raises(Unauthenticated) as refused:
        checks.recall({})
    assert not refused.value.sent


async def test_trouble_of_one_is_told_and_keeps_nobody_else_out() -> None:
    keys, tokens = Door(), TokenDoor()
    checks = SideBySide(keys.checks, tokens.checks)
    tokens.publisher.away = True
    await checks.start()
    key = mint()
    keys.shelf.put(key)
    assert checks.able
    assert checks.trouble == "tokens: the issuer's keys can't be had (Gone)"
    assert await ask(checks, key.text) == key.id
    with pytest.raises(StoreAway):
        await ask(checks, tokens.token())
    keys.shelf.away = True
    keys.pass_time(1e6)
    await keys.checks.refresh()
    assert not checks.able
    assert checks.trouble == "keys: the database can't be asked (Gone); tokens: the issuer's keys can't be had (Gone)"
    tokens.publisher.away = False
    await tokens.keys.refresh()
    assert checks.able
    assert await ask(checks, tokens.token()) == "jwt:alice"


async def test_both_are_watched_and_closed() -> None:
    keys, tokens = Door(), TokenDoor(every=0.001)
    checks = SideBySide(keys.checks, tokens.checks)
    await checks.start()
    watching = asyncio.ensure_future(checks.watch())
    tokens.pass_time(1e6)
    await until(lambda: tokens.publisher.asked == 2)
    watching.cancel()
    with pytest.raises(asyncio.CancelledError):
        await watching
    keys.shelf.gate = tokens.publisher.gate = asyncio.Event()
    stranger = SigningKey("two").sign(claims(tokens.wall.now))
    asking = [asyncio.ensure_future(ask(checks, shown)) for shown in (mint().text, stranger)]
    await settle()
    await checks.aclose()
    await settle()
    assert [one.cancelled() for one in asking] == [True, True]
