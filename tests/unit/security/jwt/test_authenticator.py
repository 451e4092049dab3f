"""A token is checked once, remembered until it ends, and so is what is not one, for a while."""

from __future__ import annotations

import asyncio
import timeit

import pytest

from security.api import Unauthenticated
from security.jwt.authenticator import KNOWN, REFUSED, REFUSED_FOR
from security.jwt.issuer_keys import EVERY, FRESH
from tests.support.signing import SigningKey, claims
from tests.support.token_door import TokenDoor
from tests.support.waiting import settle


@pytest.fixture
async def door() -> TokenDoor:
    made = TokenDoor()
    await made.checks.start()
    return made


def headers(token: str) -> dict[bytes, bytes]:
    return {b"authorization": b"bearer  " + token.encode()}


async def test_a_known_token_is_recalled_without_waiting(door: TokenDoor) -> None:
    token = door.token()
    assert door.checks.recall(headers(token)) is None
    principal = await door.checks.learn(headers(token))
    assert door.checks.recall(headers(token)) is principal
    assert repr(door.checks) == "<JwtAuthenticator 1 known, 0 refused; <IssuerKeys 1 keys, 0 waiting; current>>"


async def test_what_the_issuer_publishes_again_is_not_checked_again(door: TokenDoor) -> None:
    token = door.token()
    principal = await door.ask(token)
    door.publisher.keys.append(SigningKey("two"))
    door.pass_time(FRESH / 2)
    await door.keys.refresh()
    assert door.checks.recall(headers(token)) is principal


async def test_it_ends_to_the_second_and_stays_ended(door: TokenDoor) -> None:
    token = door.token(exp=door.wall.now + 60)
    await door.ask(token)
    door.pass_time(89.5)
    assert door.checks.recall(headers(token)) is not None
    door.pass_time(0.5)
    for _ in range(2):
        with pytest.raises(Unauthenticated):
            door.checks.recall(headers(token))


async def test_what_is_not_good_is_refused_for_a_while_and_then_looked_at_again(door: TokenDoor) -> None:
    token = door.token(nbf=door.wall.now + 31)
    with door.refuses("early"):
        await door.ask(token)
    door.pass_time(REFUSED_FOR - 0.5)
    with pytest.raises(Unauthenticated):
        door.checks.recall(headers(token))
    assert door.checks.refusals["early"] == 1, "it was not looked at again"
    door.pass_time(0.5)
    assert (await door.ask(token)).key_id == "jwt:alice"


@pytest.mark.parametrize(("shown", "sent"), [({}, False), ({b"authorization": b"Basic eDp5"}, True)])
async def test_who_shows_no_token_is_told_so(door: TokenDoor, shown: dict[bytes, bytes], sent: bool) -> None:
    with pytest.raises(Unauthenticated) as recalled:
        door.checks.recall(shown)
    with pytest.raises(Unauthenticated) as learned:
        await door.checks.learn(shown)
    assert recalled.value.sent is learned.value.sent is sent


async def test_a_hundred_requests_with_one_new_token_are_one_check(door: TokenDoor) -> None:
    token = door.token()
    with await door.checks._turns.take():
        asking = [asyncio.ensure_future(door.ask(token)) for _ in range(100)]
        await settle()
    assert len({id(principal) for principal in await asyncio.gather(*asking)}) == 1


async def test_memory_is_bounded_whatever_is_sent(door: TokenDoor) -> None:
    tokens = [door.token(jti=str(number)) for number in range(KNOWN + 1)]
    for token in tokens:
        await door.ask(token)
    assert f"{KNOWN} known" in repr(door.checks)
    assert door.checks.recall(headers(tokens[0])) is None, "the oldest went first"
    for number in range(REFUSED + 100):
        with pytest.raises(Unauthenticated):
            await door.ask(f"a.b.{number}")
    assert f"{REFUSED} refused" in repr(door.checks)


async def test_a_flood_of_invented_tokens_keeps_nobody_out(door: TokenDoor) -> None:
    """Signed by somebody else in the name of a key that there is: each has to be looked at."""
    known = door.token()
    await door.ask(known)
    thief = SigningKey("one")
    flood = [asyncio.ensure_future(door.ask(thief.sign(claims(door.wall.now, jti=str(n))))) for n in range(500)]
    await settle()
    assert door.checks.recall(headers(known)) is not None
    new = asyncio.ensure_future(door.ask(door.token(sub="bob")))
    ends = await asyncio.gather(*flood, return_exceptions=True)
    assert {type(end) for end in ends} == {Unauthenticated}
    assert (await new).key_id == "jwt:bob"


async def test_recalling_costs_microseconds(door: TokenDoor) -> None:
    there = headers(door.token())
    await door.checks.learn(there)
    seconds = min(timeit.repeat(lambda: door.checks.recall(there), number=1000, repeat=20)) / 1000
    assert seconds < 50e-6


async def test_a_cancelled_check_leaves_nothing(door: TokenDoor) -> None:
    door.pass_time(EVERY)
    for token in (door.token(), SigningKey("new").sign(claims(door.wall.now))):
        for steps in range(4):
            asking = asyncio.ensure_future(door.ask(token))
            for _ in range(steps):
                await asyncio.sleep(0)
            asking.cancel()
            await settle()
    assert repr(door.checks._turns) == "<Turns 0 waiting>"
    assert "0 waiting" in repr(door.keys)
    assert (await door.ask(door.token())).key_id == "jwt:alice"
