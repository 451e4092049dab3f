"""What is set about versions stays as it was set, until it is cleared, with an entry for each change."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from gateway.store.records import Actor, Conflict
from gateway.store.steering import DRAINED, VERSIONS, WEIGHTS, SteeringTable
from gateway.store.tables import OVERRIDES
from tests.support.stored import SOMEBODY, Stored

CLERK = Actor("0123456789ab", "192.0.2.7")


async def test_weights_are_kept_as_set_and_replaced_whole(stored: Stored) -> None:
    table = stored.registry.steering
    assert await table.all() == {}
    await table.set_weights("chat", {"1": 95, "2": 5.5}, by=SOMEBODY)
    await table.set_weights("org/code", {"1": 1}, by=SOMEBODY)
    await table.set_weights("chat", {"2": 1}, by=CLERK)
    assert await table.all() == {(WEIGHTS, "chat"): {"2": 1}, (WEIGHTS, "org/code"): {"1": 1}}
    await table.clear_weights("chat", by=CLERK)
    assert await table.all() == {(WEIGHTS, "org/code"): {"1": 1}}
    assert await SteeringTable(stored.engine, stored.clock).all() == await table.all(), "of another process"


async def test_drains_are_one_by_one(stored: Stored) -> None:
    table = stored.registry.steering
    for version in ("2", "1"):
        await table.drain("chat", version, by=SOMEBODY)
    assert await table.all() == {(DRAINED, "chat"): ["1", "2"]}
    await table.restore("chat", "1", by=SOMEBODY)
    assert await table.all() == {(DRAINED, "chat"): ["2"]}
    await table.restore("chat", "2", by=SOMEBODY)
    assert await table.all() == {}


async def test_each_change_leaves_an_entry_and_what_changes_nothing_leaves_none(stored: Stored) -> None:
    table = stored.registry.steering
    long = "m" * 128
    await table.set_weights("chat", {"1": 95, "2": 5}, by=SOMEBODY)
    await table.set_weights("chat", {"2": 1}, by=CLERK)
    for _ in range(2):
        await table.clear_weights("chat", by=CLERK)
        await table.drain(long, "v" * 128, by=CLERK)
    await table.restore(long, "other", by=CLERK)
    for _ in range(2):
        await table.restore(long, "v" * 128, by=SOMEBODY)
    await stored.registry.note("eject", "replica", "chat-0", {"state": "closed"}, {"state": "ejected"}, by=CLERK)
    label = f"{long}@{'v' * 128}"
    entries = await stored.registry.audit()
    assert [(one.actor, one.action, one.kind, one.object, one.before, one.after) for one in entries] == [
        ("test", "set", "weights", "chat", None, {"1": 95, "2": 5}),
        (CLERK.name, "set", "weights", "chat", {"1": 95, "2": 5}, {"2": 1}),
        (CLERK.name, "clear", "weights", "chat", {"2": 1}, {}),
        (CLERK.name, "drain", "version", label, {"drained": False}, {"drained": True}),
        ("test", "restore", "version", label, {"drained": True}, {"drained": False}),
        (CLERK.name, "eject", "replica", "chat-0", {"state": "closed"}, {"state": "ejected"}),
    ]
    assert [one.address for one in entries[:2]] == ["192.0.2.1", "192.0.2.7"]
    assert await stored.registry.audit(of=label) == entries[3:5]


async def test_versions_are_set_whole_by_who_has_seen_all_that_are(stored: Stored) -> None:
    table = stored.registry.steering
    one, two = {"engine": "scripted"}, {"engine": "openai", "replicas": [{"url": "http://127.0.0.1:1/v1"}]}
    await table.set_version("chat", "1", one, {}, by=SOMEBODY)
    await table.set_version("org/code", "v" * 128, two, {"chat": {"1": one}}, by=CLERK)
    seen = {"chat": {"1": one}, "org/code": {"v" * 128: two}}
    assert await table.all() == {(VERSIONS, model): entries for model, entries in seen.items()}
    for stale in ({}, {"chat": {"1": one}}, {**seen, "chat": {"1": two}}):
        with pytest.raises(Conflict, match="at the same time"):
            await table.set_version("chat", "1", two, stale, by=CLERK)
    await table.set_version("chat", "1", two, seen, by=CLERK)
    await table.set_version("org/code", "v" * 128, None, {**seen, "chat": {"1": two}}, by=CLERK)
    assert await table.all() == {(VERSIONS, "chat"): {"1": two}}
    label = f"org/code@{'v' * 128}"
    entries = await stored.registry.audit()
    assert [(it.actor, it.action, it.kind, it.object, it.before, it.after) for it in entries] == [
        ("test", "set", "version", "chat@1", None, one),
        (CLERK.name, "set", "version", label, None, two),
        (CLERK.name, "set", "version", "chat@1", one, two),
        (CLERK.name, "clear", "version", label, two, {}),
    ]


async def test_who_set_it_and_when_stands_beside_it(stored: Stored) -> None:
    await stored.registry.steering.set_weights("chat", {"1": 1}, by=CLERK)
    async with stored.engine.connect() as connection:
        row = (await connection.execute(select(OVERRIDES.c.changed_by, OVERRIDES.c.changed_at))).one()
    assert tuple(row) == (CLERK.name, 1_800_000_000)


async def test_changes_at_the_same_time_lose_none(stored: Stored) -> None:
    table = stored.registry.steering
    await asyncio.gather(*(table.drain("chat", str(number), by=CLERK) for number in range(9)))
    assert await table.all() == {(DRAINED, "chat"): [str(number) for number in range(9)]}


async def test_keys_that_are_known_stay_known(stored: Stored) -> None:
    """Its number rises with every change: that is no news about keys."""
    before = await stored.store.changes(None)
    await stored.registry.steering.drain("chat", "1", by=CLERK)
    news = await stored.store.changes(before.revision)
    assert (news.revision, news.grants) == (before.revision + 1, [])
