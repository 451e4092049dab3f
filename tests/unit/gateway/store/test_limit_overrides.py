"""Overrides of limits: read all, however many they are, and changed by several at a time one after the other."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

from sqlalchemy import insert

from gateway.store.limit_overrides import STEP, LimitOverrideTable
from gateway.store.records import NotThere
from gateway.store.tables import LIMIT_OVERRIDES
from tests.support.stored import SOMEBODY, Stored


async def test_all_are_read_where_they_are_more_than_are_read_at_a_time(stored: Stored) -> None:
    wanted: dict[tuple[str, str], Any] = {
        ("tenant", f"t{nth:04}"): {"key": {"requests_per_minute": nth + 1}} for nth in range(2 * STEP + 1)
    }
    wanted["key", "t0000"] = {"tokens_per_day": 1}
    rows = [
        {"holder": holder, "name": name, "value": value, "changed_by": "test", "changed_at": 0}
        for (holder, name), value in wanted.items()
    ]
    async with stored.engine.begin() as connection:
        await connection.execute(insert(LIMIT_OVERRIDES), rows)
    assert await stored.registry.limit_overrides.all() == wanted


async def test_several_may_set_and_clear_the_same_at_a_time(stored: Stored) -> None:
    """Each as if it were alone: the trail has every change, from what the one before has left."""
    table = stored.registry.limit_overrides
    others = [table, LimitOverrideTable(stored.engine, stored.clock)]
    setting = [others[nth % 2].set("key", "k", {"tokens_per_day": nth}, by=SOMEBODY) for nth in range(1, 11)]
    clearing = [others[nth % 2].clear("key", "k", by=SOMEBODY) for nth in range(5)]
    ended = await asyncio.gather(*setting, *clearing, return_exceptions=True)
    assert {type(one) for one in ended} <= {type(None), NotThere}
    trail = await stored.registry.audit(of="k")
    assert len(trail) == ended.count(None)
    assert all(later.before == (before.after or None) for before, later in pairwise(trail))
