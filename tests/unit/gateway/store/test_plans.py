"""Plans stay as they were set, until they are cleared, with an entry in the trail for each change."""

from __future__ import annotations

import asyncio

import pytest

from gateway.store.plans import PlanTable
from gateway.store.records import Actor, Conflict, NotThere, Tenant
from tests.support.stored import SOMEBODY, Stored

CLERK = Actor("0123456789ab", "192.0.2.7")
ONE, TWO = {"key": {"requests_per_minute": 1}}, {"tenant": {"tokens_per_day": 2}, "enforce": False}


async def test_a_plan_is_kept_as_set_and_replaced_whole(stored: Stored) -> None:
    table = stored.registry.plans
    assert await table.all() == {}
    await table.set("gold", ONE, by=SOMEBODY)
    await table.set("a" * 64, {}, by=SOMEBODY)
    await table.set("gold", TWO, by=CLERK)
    assert await table.all() == {"a" * 64: {}, "gold": TWO}
    assert await PlanTable(stored.engine, stored.clock).all() == await table.all(), "of another process"
    await table.clear("gold", unused=True, by=CLERK)
    assert await table.all() == {"a" * 64: {}}


async def test_each_change_leaves_an_entry_and_what_changes_nothing_leaves_none(stored: Stored) -> None:
    table = stored.registry.plans
    for entry in (ONE, ONE, TWO):
        await table.set("gold", entry, by=CLERK)
    await table.clear("gold", unused=False, by=SOMEBODY)
    with pytest.raises(NotThere, match="No such plan was set"):
        await table.clear("gold", unused=False, by=SOMEBODY)
    trail = await stored.registry.audit(of="gold")
    assert [(one.actor, one.action, one.kind, one.before, one.after) for one in trail] == [
        (CLERK.name, "set", "plan", None, ONE),
        (CLERK.name, "set", "plan", ONE, TWO),
        (SOMEBODY.name, "clear", "plan", TWO, {}),
    ]


async def test_one_that_tenants_are_on_is_only_cleared_where_that_may_be(stored: Stored) -> None:
    table = stored.registry.plans
    await table.set("gold", ONE, by=SOMEBODY)
    for count, told in ((1, "1 tenant is"), (2, "2 tenants are")):
        await stored.registry.create_tenant(Tenant(name=f"t{count}", plan="gold"), by=SOMEBODY)
        await stored.registry.create_tenant(Tenant(name=f"other{count}"), by=SOMEBODY)
        assert await table.tenants() == {"gold": count, "default": count}
        with pytest.raises(Conflict, match=told):
            await table.clear("gold", unused=True, by=SOMEBODY)
    assert await table.all() == {"gold": ONE}
    await table.clear("gold", unused=False, by=SOMEBODY)
    assert await table.all() == {}


async def test_many_at_once_each_leave_their_own(stored: Stored) -> None:
    names = [f"p{number}" for number in range(20)]
    await asyncio.gather(*(stored.registry.plans.set(name, ONE, by=SOMEBODY) for name in names))
    assert await stored.registry.plans.all() == dict.fromkeys(names, ONE)
