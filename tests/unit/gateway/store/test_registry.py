"""Tenants and keys are made, changed and listed; every mistake is told in a sentence."""

from __future__ import annotations

import asyncio

import pytest

from gateway.store.records import Conflict, Key, NotThere, RegistryError, Tenant
from security.keys import digest, key_id
from tests.support.stored import SOMEBODY, Stored


async def test_a_tenant_is_kept_as_made(stored: Stored) -> None:
    made = await stored.registry.create_tenant(
        Tenant(name="acme", plan="gold", weight=3, priority=7, models=["a/b"]), by=SOMEBODY
    )
    assert made == Tenant(name="acme", plan="gold", weight=3, priority=7, models=["a/b"], created=1_800_000_000)
    assert await stored.registry.tenants() == [made]


async def test_a_tenant_changes(stored: Stored) -> None:
    made = await stored.registry.create_tenant(Tenant(name="acme", models=["a"]), by=SOMEBODY)
    changed = await stored.registry.change_tenant("acme", weight=9, models=None, by=SOMEBODY)
    assert changed == Tenant(name="acme", weight=9, created=made.created)
    assert await stored.registry.tenants() == [changed]


async def test_a_key_is_kept_without_its_secret(stored: Stored) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    key, new = await stored.registry.create_key("acme", "web", models=["m"], expires_in=100_000_000, by=SOMEBODY)
    assert key == Key(id=new.id, tenant="acme", label="web", models=["m"], created=1_800_000_000, expires=1_900_000_000)
    assert key_id(new.text.encode()) == key.id
    assert await stored.registry.keys() == [key]
    grants = await stored.store.find_many({key.id})
    assert grants[key.id].digest == digest(new.text.encode())


async def test_lists_come_in_pages(stored: Stored) -> None:
    for name in ("a", "b", "c"):
        await stored.registry.create_tenant(Tenant(name=name), by=SOMEBODY)
        await stored.registry.create_key(name, by=SOMEBODY)
    assert [tenant.name for tenant in await stored.registry.tenants(after="a", limit=1)] == ["b"]
    every = await stored.registry.keys()
    assert await stored.registry.keys(after=every[0].id, limit=1) == every[1:2]
    assert await stored.registry.keys("c") == [key for key in every if key.tenant == "c"]


async def test_revoking_is_for_good(stored: Stored) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    key, _ = await stored.registry.create_key("acme", by=SOMEBODY)
    assert (await stored.registry.revoke_key(key.id, by=SOMEBODY)).revoked == 1_800_000_000
    stored.clock.now += 100
    assert (await stored.registry.revoke_key(key.id, by=SOMEBODY)).revoked == 1_800_000_000
    with pytest.raises(Conflict, match="no longer good"):
        await stored.registry.rotate_key(key.id, 60, by=SOMEBODY)


@pytest.mark.parametrize(("expires_in", "ends"), [(None, 1_800_000_060), (10, 1_800_000_010)])
async def test_rotating_leaves_the_old_key_a_while(stored: Stored, expires_in: int | None, ends: int) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    old, _ = await stored.registry.create_key("acme", "web", models=["m"], expires_in=expires_in, by=SOMEBODY)
    key, new = await stored.registry.rotate_key(old.id, 60, by=SOMEBODY)
    assert (key.id, key.tenant, key.label, key.models) == (new.id, "acme", "web", ["m"])
    kept = {key.id: key for key in await stored.registry.keys()}
    assert kept[old.id].expires == ends
    assert kept[new.id].expires == (expires_in and 1_800_000_000 + expires_in)


@pytest.mark.parametrize(
    ("tenant", "words"),
    [
        (Tenant(name=""), "name"),
        (Tenant(name="a'; DROP TABLE keys; --"), "name"),
        (Tenant(name="a", plan="ü"), "plan"),
        (Tenant(name="a", weight=0), "weight"),
        (Tenant(name="a", priority=101), "priority"),
        (Tenant(name="a", priority=-101), "from -100 to 100"),
        (Tenant(name="a", models=["a b"]), "Models"),
    ],
)
async def test_odd_tenants_are_refused(stored: Stored, tenant: Tenant, words: str) -> None:
    with pytest.raises(RegistryError, match=words):
        await stored.registry.create_tenant(tenant, by=SOMEBODY)
    assert await stored.registry.tenants() == []


async def test_mistakes_with_names_are_told(stored: Stored) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    with pytest.raises(Conflict, match="acme already"):
        await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    with pytest.raises(NotThere, match="no tenant emca"):
        await stored.registry.create_key("emca", by=SOMEBODY)
    with pytest.raises(NotThere, match="no tenant emca"):
        await stored.registry.change_tenant("emca", weight=2, by=SOMEBODY)
    with pytest.raises(NotThere, match="no key 0000"):
        await stored.registry.revoke_key("0000", by=SOMEBODY)
    with pytest.raises(RegistryError, match="no scope root"):
        await stored.registry.create_key("acme", scopes=["root"], by=SOMEBODY)
    with pytest.raises(RegistryError, match="Takes 1 to"):
        await stored.registry.create_key("acme", expires_in=0, by=SOMEBODY)
    assert await stored.registry.keys() == []


async def test_changes_at_the_same_time_all_count(stored: Stored) -> None:
    await stored.registry.create_tenant(Tenant(name="acme"), by=SOMEBODY)
    await asyncio.gather(*(stored.registry.create_key("acme", by=SOMEBODY) for _ in range(20)))
    assert len(await stored.registry.keys()) == 20
    assert (await stored.store.changes(None)).revision == 21
