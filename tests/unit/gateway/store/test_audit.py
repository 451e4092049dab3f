"""Every change leaves an entry that stays as it was written, in the order in which changes were made."""

from __future__ import annotations

import asyncio
from typing import Any

import msgspec
import pytest
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError

from gateway.store.records import Actor, RegistryError, Tenant
from tests.support.stored import SOMEBODY, Stored

CLERK = Actor("0123456789ab", "192.0.2.7")


async def test_who_did_what_and_how_it_was_before(stored: Stored) -> None:
    registry = stored.registry
    tenant = await registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    changed = await registry.change_tenant("acme", weight=3, models=["a"], by=CLERK)
    key, _ = await registry.create_key("acme", "web", by=CLERK)
    stored.clock.now += 5
    new, _ = await registry.rotate_key(key.id, 60, by=CLERK)
    revoked = await registry.revoke_key(new.id, by=SOMEBODY)
    ending = await registry.key(key.id)
    entries = await registry.audit()
    assert [(one.actor, one.action, one.kind, one.object, one.before, one.after) for one in entries] == [
        ("test", "create", "tenant", "acme", None, told(tenant)),
        (CLERK.name, "change", "tenant", "acme", told(tenant), told(changed)),
        (CLERK.name, "create", "key", key.id, None, told(key)),
        (CLERK.name, "rotate", "key", key.id, told(key), told(ending)),
        (CLERK.name, "create", "key", new.id, None, told(new)),
        ("test", "revoke", "key", new.id, told(new), told(revoked)),
    ]
    assert [one.address for one in entries[:2]] == ["192.0.2.1", "192.0.2.7"]
    assert [one.at - 1_800_000_000 for one in entries] == [0, 0, 0, 5, 5, 5]


def told(record: msgspec.Struct) -> Any:
    return msgspec.to_builtins(record)


async def test_the_trail_comes_in_pages_and_by_what_it_is_about(stored: Stored) -> None:
    for name in ("a", "b", "c"):
        await stored.registry.create_tenant(Tenant(name=name), by=SOMEBODY)
    await stored.registry.change_tenant("a", weight=2, by=SOMEBODY)
    every = await stored.registry.audit()
    assert [one.object for one in every] == ["a", "b", "c", "a"]
    assert await stored.registry.audit(after=every[0].id, limit=2) == every[1:3]
    assert await stored.registry.audit(after=every[0].id, of="a") == every[3:]
    assert await stored.registry.audit(of="nobody\0") == []


async def test_what_is_refused_or_changes_nothing_leaves_no_entry(stored: Stored) -> None:
    registry = stored.registry
    await registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    key, _ = await registry.create_key("acme", by=SOMEBODY)
    await registry.revoke_key(key.id, by=SOMEBODY)
    before = await registry.audit()
    await registry.revoke_key(key.id, by=CLERK)
    for refused in (
        registry.create_tenant(Tenant(name="acme"), by=CLERK), registry.change_tenant("acme", weight=0, by=CLERK),
        registry.create_key("emca", by=CLERK), registry.rotate_key(key.id, 0, by=CLERK),
    ):  # fmt: skip
        with pytest.raises(RegistryError):
            await refused
    assert await registry.audit() == before


async def test_a_change_whose_entry_can_not_be_written_is_not_made(stored: Stored) -> None:
    tenant = await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    async with stored.engine.begin() as connection:
        await connection.execute(text("DROP TABLE audit"))
    with pytest.raises(DBAPIError):
        await stored.registry.change_tenant("acme", weight=5, by=CLERK)
    assert await stored.registry.tenants() == [tenant]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE audit SET actor = 'nobody'",
        "DELETE FROM audit",
        "DELETE FROM audit WHERE id = 1",
        "TRUNCATE audit",
        "INSERT OR REPLACE INTO audit SELECT id, at, 'nobody', address, action, kind, object, before, after FROM audit",
        "INSERT INTO audit SELECT * FROM audit WHERE true ON CONFLICT (id) DO UPDATE SET actor = 'nobody'",
    ],
)
async def test_what_is_written_stays(stored: Stored, statement: str) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    before = await stored.registry.audit()
    with pytest.raises(DBAPIError):
        async with stored.engine.begin() as connection:
            await connection.execute(text(statement))
    assert await stored.registry.audit() == before != []


async def test_entries_of_changes_at_the_same_time_are_seen_in_their_order(stored: Stored) -> None:
    """Who reads on after the last one seen must miss none: no lower number may appear later."""
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    makers = asyncio.gather(*(stored.registry.create_key("acme", by=CLERK) for _ in range(30)))
    seen: list[int] = []
    while not makers.done():
        seen += [one.id for one in await stored.registry.audit(after=seen[-1] if seen else 0)]
    await makers
    seen += [one.id for one in await stored.registry.audit(after=seen[-1] if seen else 0)]
    assert seen == [one.id for one in await stored.registry.audit()]
    assert len(seen) == 31


async def test_no_entry_holds_a_secret_or_its_digest(stored: Stored) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    key, made = await stored.registry.create_key("acme", by=SOMEBODY)
    _, rotated = await stored.registry.rotate_key(key.id, 60, by=SOMEBODY)
    trail = str(await stored.registry.audit())
    for secret in (made, rotated):
        assert secret.text.rpartition("-")[2] not in trail
        assert secret.digest.hex() not in trail
        assert repr(secret.digest) not in trail
