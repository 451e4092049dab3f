"""The issuer is asked for its keys at times, for a new one at once, and whatever is sent here, never too often."""

from __future__ import annotations

import asyncio

import pytest

from security.api import StoreAway
from security.jwt.issuer_keys import EVERY, FRESH, WAITING
from tests.support.key_door import GRACE
from tests.support.signing import SigningKey, claims
from tests.support.token_door import TokenDoor
from tests.support.waiting import settle, until


@pytest.fixture
async def door() -> TokenDoor:
    made = TokenDoor()
    await made.checks.start()
    return made


async def test_a_new_key_is_fetched_when_the_first_token_of_it_comes(door: TokenDoor) -> None:
    new = SigningKey("two")
    door.publisher.keys.append(new)
    door.pass_time(EVERY)
    assert (await door.ask(new.sign(claims(door.wall.now, sub="bob")))).key_id == "jwt:bob"
    assert door.publisher.asked == 2
    assert await door.ask(door.token()) != await door.ask(new.sign(claims(door.wall.now, sub="bob")))
    assert door.publisher.asked == 2


async def test_ten_thousand_invented_keys_are_one_question(door: TokenDoor) -> None:
    door.pass_time(EVERY)
    door.publisher.gate = asyncio.Event()
    stranger = SigningKey("x")
    body = stranger.sign(claims(door.wall.now))
    tokens = [stranger.sign(claims(door.wall.now), kid=f"invented-{number}") for number in range(200)]
    heads = [token.partition(".")[0] for token in tokens]
    asking = [
        asyncio.ensure_future(door.ask(f"{heads[number % 200]}.{body.partition('.')[2]}{number}"))
        for number in range(10_000)
    ]
    await settle()
    assert f"{WAITING} waiting" in repr(door.keys)
    known = await door.ask(door.token())
    assert known.key_id == "jwt:alice", "others are let in meanwhile"
    door.publisher.gate.set()
    ends = await asyncio.gather(*asking, return_exceptions=True)
    kinds = [type(end).__name__ for end in ends]
    assert (kinds.count("Unauthenticated"), kinds.count("StoreAway")) == (WAITING, 10_000 - WAITING)
    assert door.publisher.asked == 2


async def test_the_next_question_waits_its_time_and_takes_all_along(door: TokenDoor) -> None:
    """Who comes too early is not refused: the key may be a new one."""
    door.pass_time(EVERY - 0.05)
    new = SigningKey("two")
    door.publisher.keys.append(new)
    tokens = [new.sign(claims(door.wall.now, sub=f"number {number}")) for number in range(20)]
    asking = [asyncio.ensure_future(door.ask(token)) for token in tokens]
    await settle()
    assert door.publisher.asked == 1
    assert len({principal.key_id for principal in await asyncio.gather(*asking)}) == 20
    assert door.publisher.asked == 2


async def test_who_leaves_meanwhile_takes_nobody_along(door: TokenDoor) -> None:
    door.pass_time(EVERY)
    door.publisher.gate = asyncio.Event()
    new = SigningKey("two")
    door.publisher.keys.append(new)
    leaving, staying = (
        asyncio.ensure_future(door.ask(new.sign(claims(door.wall.now, sub=name)))) for name in ("one", "two")
    )
    await settle()
    leaving.cancel()
    await settle()
    assert leaving.cancelled()
    door.publisher.gate.set()
    assert (await staying).key_id == "jwt:two"
    assert "0 waiting" in repr(door.keys)


async def test_closing_lets_nobody_wait_on(door: TokenDoor) -> None:
    door.pass_time(EVERY)
    door.publisher.gate = asyncio.Event()
    asking = asyncio.ensure_future(door.ask(SigningKey("x").sign(claims(door.wall.now))))
    await settle()
    await door.checks.aclose()
    with pytest.raises(asyncio.CancelledError):
        await asking


async def test_keys_work_on_while_the_issuer_is_away_until_the_grace_ends(door: TokenDoor) -> None:
    known, other = door.token(exp=door.wall.now + 10_000), door.token(sub="bob", exp=door.wall.now + 10_000)
    assert (await door.ask(known)).key_id == "jwt:alice"
    door.publisher.away = True
    door.pass_time(GRACE - 1)
    await door.keys.refresh()
    assert door.checks.able
    assert door.checks.trouble == "tokens: the issuer's keys can't be had (Gone)"
    assert (await door.ask(known)).key_id == "jwt:alice"
    assert (await door.ask(other)).key_id == "jwt:bob", "its key is there: nobody has to be asked"
    with pytest.raises(StoreAway, match="Gone"):
        await door.ask(SigningKey("new").sign(claims(door.wall.now)))
    door.pass_time(1)
    assert not door.checks.able
    for token in (known, door.token(sub="carol")):
        with pytest.raises(StoreAway, match="Gone"):
            await door.ask(token)
    door.publisher.away = False
    await door.keys.refresh()
    assert door.checks.trouble == ""
    assert (await door.ask(known)).key_id == "jwt:alice"


async def test_nobody_is_let_in_before_the_issuer_has_answered() -> None:
    door = TokenDoor()
    door.publisher.away = True
    await door.checks.start()
    assert not door.checks.able
    with pytest.raises(StoreAway):
        await door.ask(door.token())
    door.publisher.away = False
    await door.keys.refresh()
    assert (await door.ask(door.token())).key_id == "jwt:alice"


async def test_a_key_set_without_a_key_is_no_answer(door: TokenDoor) -> None:
    door.publisher.document = b'{"keys": []}'
    door.pass_time(FRESH)
    await door.keys.refresh()
    assert "no key for the algorithms" in door.checks.trouble
    assert (await door.ask(door.token())).key_id == "jwt:alice"


async def test_a_key_that_is_taken_back_takes_its_tokens_along(door: TokenDoor) -> None:
    stays = SigningKey("stays", "EdDSA")
    door.publisher.keys.append(stays)
    await door.keys.refresh()
    gone, good = door.token(), stays.sign(claims(door.wall.now, sub="bob"))
    assert {(await door.ask(token)).key_id for token in (gone, good)} == {"jwt:alice", "jwt:bob"}
    door.publisher.keys.remove(door.publisher.keys[0])
    door.pass_time(FRESH / 2)
    await door.keys.refresh()
    door.pass_time(EVERY)
    with door.refuses("key"):
        await door.ask(gone)
    assert (await door.ask(good)).key_id == "jwt:bob"


async def test_a_key_of_the_same_name_but_another_is_another(door: TokenDoor) -> None:
    old = door.token()
    assert (await door.ask(old)).key_id == "jwt:alice"
    door.publisher.keys[0] = SigningKey("one")
    await door.keys.refresh()
    with door.refuses("signature"):
        await door.ask(old)
    assert (await door.ask(door.token())).key_id == "jwt:alice"


async def test_it_is_asked_at_times_and_more_often_while_it_is_away() -> None:
    door = TokenDoor(every=0.001)
    await door.checks.start()
    watching = asyncio.ensure_future(door.checks.watch())
    door.pass_time(FRESH)
    await until(lambda: door.publisher.asked == 2)
    door.publisher.away = True
    door.pass_time(FRESH)
    await until(lambda: door.publisher.asked >= 5)
    door.publisher.away = False
    door.pass_time(1.0)
    await until(lambda: not door.checks.trouble)
    watching.cancel()
