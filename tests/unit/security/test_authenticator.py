"""Keys are checked from memory: who is let in, for how long, and what happens while the store is away."""

from __future__ import annotations

import gc
import timeit
import tracemalloc

import pytest

from security.api import StoreAway, Unauthenticated
from security.authenticator import KNOWN, NOTE_EVERY, POLL, REFUSED, REFUSED_FOR
from security.keys import NewKey, mint
from tests.support.key_door import GRACE, START, Door


@pytest.fixture
async def door() -> Door:
    door = Door()
    await door.checks.start()
    return door


async def test_a_key_is_looked_up_once(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    principal = await door.ask(key.text)
    assert (principal.key_id, principal.tenant) == (key.id, "acme")
    assert door.checks.recall({b"authorization": b"bearer  " + key.text.encode()}) is principal
    assert door.shelf.lookups == 1


@pytest.mark.parametrize(
    "header",
    [
        b"",
        b"Bearer",
        b"Bearer ",
        b"Basic c2VjcmV0",
        b"Bearer sk-proj-0123",
        b"Bearer sk-snow-0123456789ab-",
        b"Bearer sk-snow-0123456789ab-" + "ü".encode() * 40,
        b"Bearer sk-snow-0123456789ab-" + b"a" * 30_000,
        b"Bearer \xff\xfe\x00",
    ],
)
async def test_what_has_not_the_form_of_a_key_never_reaches_the_store(door: Door, header: bytes) -> None:
    with pytest.raises(Unauthenticated):
        await door.ask_with(header)
    assert door.shelf.lookups == 0


async def test_no_header_is_told_from_a_bad_one(door: Door) -> None:
    with pytest.raises(Unauthenticated) as none:
        door.checks.recall({})
    with pytest.raises(Unauthenticated) as bad:
        door.checks.recall({b"authorization": b"Basic x"})
    assert (none.value.sent, bad.value.sent) == (False, True)


async def test_the_right_id_with_a_wrong_secret_is_refused(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    wrong = key.text[:-1] + ("a" if key.text[-1] != "a" else "b")
    await door.ask(key.text)
    with pytest.raises(Unauthenticated):
        await door.ask(wrong)
    assert (await door.ask(key.text)).key_id == key.id


async def test_a_refusal_is_remembered_a_while(door: Door) -> None:
    key = mint()
    for _ in range(3):
        with pytest.raises(Unauthenticated):
            await door.ask(key.text)
    assert door.shelf.lookups == 1
    door.pass_time(REFUSED_FOR)
    with pytest.raises(Unauthenticated):
        await door.ask(key.text)
    assert door.shelf.lookups == 2


async def test_a_key_made_after_its_refusal_works_with_the_next_news(door: Door) -> None:
    key = mint()
    with pytest.raises(Unauthenticated):
        await door.ask(key.text)
    door.shelf.put(key)
    await door.checks.refresh()
    assert (await door.ask(key.text)).key_id == key.id


async def test_expiry_is_checked_at_every_use(door: Door) -> None:
    key = mint()
    door.shelf.put(key, START + 60)
    door.pass_time(59)
    await door.ask(key.text)
    door.pass_time(1)
    with pytest.raises(Unauthenticated):
        await door.ask(key.text)


async def test_a_revoked_key_ends_with_the_next_news(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    await door.ask(key.text)
    door.shelf.put(key, ends=0)
    assert (await door.ask(key.text)).key_id == key.id
    await door.checks.refresh()
    with pytest.raises(Unauthenticated):
        await door.ask(key.text)


async def test_while_the_store_is_away_known_keys_work_and_others_come_back_later(door: Door) -> None:
    known, other = mint(), mint()
    door.shelf.put(known)
    door.shelf.put(other)
    await door.ask(known.text)
    door.shelf.away = True
    await door.checks.refresh()
    assert "Gone" in door.checks.trouble
    door.pass_time(GRACE - 1)
    assert (await door.ask(known.text)).key_id == known.id
    assert door.checks.able
    with pytest.raises(StoreAway):
        await door.ask(other.text)
    with pytest.raises(Unauthenticated):
        await door.ask("sk-nonsense")
    door.pass_time(1)
    assert not door.checks.able
    with pytest.raises(StoreAway):
        await door.ask(known.text)
    door.shelf.away = False
    await door.checks.refresh()
    assert door.checks.trouble == ""
    for key in (known, other):
        assert (await door.ask(key.text)).key_id == key.id


async def test_a_revocation_during_an_absence_is_learned_at_its_end(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    await door.ask(key.text)
    door.shelf.away = True
    await door.checks.refresh()
    door.shelf.put(key, ends=0)
    await door.checks.refresh()
    assert (await door.ask(key.text)).key_id == key.id
    door.shelf.away = False
    await door.checks.refresh()
    with pytest.raises(Unauthenticated):
        await door.ask(key.text)


async def test_started_without_a_store_nobody_gets_in_until_it_is_there() -> None:
    door = Door()
    key = mint()
    door.shelf.put(key)
    door.shelf.away = True
    await door.checks.start()
    assert not door.checks.able
    with pytest.raises(StoreAway):
        await door.ask(key.text)
    door.shelf.away = False
    await door.checks.refresh()
    assert (await door.ask(key.text)).key_id == key.id


async def test_an_older_database_in_its_place_is_asked_afresh(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    await door.checks.refresh()
    await door.ask(key.text)
    door.shelf.revision = 0
    del door.shelf.grants[key.id]
    await door.checks.refresh()
    with pytest.raises(Unauthenticated):
        await door.ask(key.text)


async def test_uses_are_noted_rarely_and_together(door: Door) -> None:
    one, two = mint(), mint()
    door.shelf.put(one)
    door.shelf.put(two)
    for key in (one, two, one):
        await door.ask(key.text)
    await door.checks.refresh()
    assert door.shelf.uses == {one.id: START, two.id: START}
    door.pass_time(NOTE_EVERY - 1)
    await door.ask(one.text)
    await door.checks.refresh()
    assert door.shelf.uses[one.id] == START
    door.pass_time(1)
    await door.ask(one.text)
    await door.checks.aclose()
    assert door.shelf.uses == {one.id: START + NOTE_EVERY, two.id: START}


async def test_a_store_that_can_be_read_but_not_written_goes_on_serving(door: Door) -> None:
    known, other = mint(), mint()
    door.shelf.put(known)
    door.shelf.put(other)
    door.shelf.full = True
    await door.ask(known.text)
    await door.checks.refresh()
    assert door.checks.trouble == ""
    assert (await door.ask(other.text)).key_id == other.id
    door.shelf.full = False
    await door.checks.refresh()
    assert door.shelf.uses == {known.id: START, other.id: START}, "noted late, not lost"


async def test_a_grace_shorter_than_the_time_between_two_questions_counts_from_the_first_without_an_answer() -> None:
    door = Door(grace=POLL / 4)
    key = mint()
    door.shelf.put(key)
    await door.checks.start()
    await door.ask(key.text)
    door.pass_time(POLL)
    assert (await door.ask(key.text)).key_id == key.id
    door.shelf.away = True
    await door.checks.refresh()
    with pytest.raises(StoreAway):
        await door.ask(key.text)


async def test_memory_is_bounded_whatever_is_sent(door: Door) -> None:
    for _ in range(REFUSED + 10):
        with pytest.raises(Unauthenticated):
            await door.ask(f"sk-snow-{mint().id}-{'a' * 40}")
    first = mint()
    door.shelf.put(first)
    await door.ask(first.text)
    for number in range(KNOWN):
        key = NewKey(f"{number:012x}", f"sk-snow-{number:012x}-{'b' * 40}")
        door.shelf.put(key)
        await door.ask(key.text)
    assert f"{KNOWN} known, {REFUSED} refused" in repr(door.checks)
    lookups = door.shelf.lookups
    await door.ask(first.text)  # forgotten, not lost
    assert door.shelf.lookups == lookups + 1


def test_news_are_asked_for_often_enough() -> None:
    assert POLL + 2.0 < 5.0, "with the time that a question may take, a revocation must be known in 5 s"


async def test_a_key_met_before_is_checked_in_microseconds(door: Door) -> None:
    key = mint()
    door.shelf.put(key)
    await door.ask(key.text)
    headers = {b"host": b"x", b"authorization": f"Bearer {key.text}".encode()}
    seconds = min(timeit.repeat(lambda: door.checks.recall(headers), number=1000, repeat=20)) / 1000
    assert seconds < 30e-6, "3 µs on a quiet machine, with room for a busy one"


async def test_ten_thousand_keys_fit_in_ten_megabytes(door: Door) -> None:
    keys = [NewKey(f"{number:012x}", f"sk-snow-{number:012x}-{'b' * 40}") for number in range(10_000)]
    await door.ask_with_each(keys[:1])
    tracemalloc.start()
    try:
        await door.ask_with_each(keys)
        gc.collect()
        assert tracemalloc.get_traced_memory()[0] < 10e6
    finally:
        tracemalloc.stop()
