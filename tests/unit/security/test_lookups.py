"""Keys not met before are looked up together, each once, and never past the news."""

from __future__ import annotations

import asyncio

import pytest

from security.api import StoreAway, Unauthenticated
from security.keys import mint
from security.lookups import BATCH, WAITING
from tests.support.key_door import Door
from tests.support.waiting import PATIENCE, settle


@pytest.fixture
async def door() -> Door:
    door = Door()
    await door.checks.start()
    return door


async def test_news_during_a_lookup_are_not_lost(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    await door.checks.refresh()
    door.shelf.gate = asyncio.Event()
    asking = asyncio.create_task(door.ask(key.text))
    await settle()
    door.shelf.put(key, ends=0)  # revoked after it was read, before it is remembered
    await door.checks.refresh()
    door.shelf.gate.set()
    with pytest.raises(Unauthenticated):
        await asking
    assert door.shelf.lookups == 2


async def test_requests_with_the_same_new_key_share_a_lookup_and_survive_one_leaving(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    await door.checks.refresh()
    door.shelf.gate = asyncio.Event()
    asking = [asyncio.create_task(door.ask(key.text)) for _ in range(5)]
    await settle()
    asking[0].cancel()
    await settle()
    door.shelf.gate.set()
    assert {principal.key_id for principal in await asyncio.gather(*asking[1:])} == {key.id}
    assert door.shelf.lookups == 1


async def test_unknown_keys_are_looked_up_together(door: Door) -> None:
    """As many as wait when the one before is answered, in the order in which they came."""
    door.shelf.gate = asyncio.Event()
    made = mint()
    door.shelf.put(made)
    await door.checks.refresh()
    first = asyncio.create_task(door.ask(mint().text))
    await settle()
    invented = [asyncio.create_task(door.ask(mint().text)) for _ in range(BATCH - 1)]
    asking = asyncio.create_task(door.ask(made.text))
    wrong = asyncio.create_task(door.ask(made.text[:-1] + ("a" if made.text[-1] != "a" else "b")))
    await settle()
    assert door.shelf.lookups == 1
    door.shelf.gate.set()
    with pytest.raises(Unauthenticated):
        await first
    assert (await asking).key_id == made.id
    outcomes = await asyncio.gather(wrong, *invented, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {Unauthenticated}
    assert door.shelf.lookups == 3


async def test_a_flood_of_unknown_keys_is_bounded(door: Door) -> None:
    door.shelf.gate = asyncio.Event()
    asking = [asyncio.create_task(door.ask(mint().text)) for _ in range(WAITING + 20)]
    await settle()
    door.shelf.gate.set()
    outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert sum(isinstance(outcome, StoreAway) for outcome in outcomes) == 20
    assert sum(isinstance(outcome, Unauthenticated) for outcome in outcomes) == WAITING


async def test_whoever_waits_for_a_store_that_does_not_answer_is_told_at_once_when_the_first_is(door: Door) -> None:
    """Each further question could take as long as the first."""
    door.shelf.gate = asyncio.Event()
    asking = [asyncio.create_task(door.ask(mint().text)) for _ in range(3 * BATCH)]
    await settle()
    asking[0].cancel()
    door.shelf.away = True
    door.shelf.gate.set()
    outcomes = await asyncio.gather(*asking[1:], return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {StoreAway}
    assert door.shelf.lookups == 1
    door.shelf.away = False
    with pytest.raises(Unauthenticated):
        await door.ask(mint().text)


async def test_what_breaks_a_lookup_is_told_to_those_who_wait_and_no_later_one(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    door.shelf.broken = True
    outcomes = await asyncio.gather(*(door.ask(mint().text) for _ in range(2)), return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {ValueError}
    door.shelf.broken = False
    assert (await door.ask(key.text)).key_id == key.id


@pytest.mark.parametrize("turns", [1, 5])
async def test_nobody_waits_for_ever_at_the_end(door: Door, turns: int) -> None:
    """Be their question asked already, or about to be."""
    door.shelf.gate = asyncio.Event()
    asking = [asyncio.create_task(door.ask(mint().text)) for _ in range(2)]
    for _ in range(turns):
        await asyncio.sleep(0)
    await door.checks.aclose()
    async with asyncio.timeout(PATIENCE):
        outcomes = await asyncio.gather(*asking, return_exceptions=True)
    assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
