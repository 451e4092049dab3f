"""Plans of limits that were set over the file's: kept over restarts, and for every process of the same database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.changing import Change, changing
from gateway.store.records import Actor, Conflict, NotThere
from gateway.store.tables import PLANS, TENANTS

PLAN: Final = "plan"
"""What one is called in the audit trail."""


class PlanTable:
    """Knows nothing of what a plan may say. Raises SQLAlchemy's errors; `wall` gives Unix time."""

    def __init__(self, engine: AsyncEngine, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    def __repr__(self) -> str:
        return f"<PlanTable in {self._engine.url.render_as_string()}>"

    async def all(self) -> dict[str, Any]:
        """What was given for each, by name."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(PLANS.c.name, PLANS.c.value).order_by(PLANS.c.name))
        return {row.name: row.value for row in rows}

    async def tenants(self) -> Mapping[str, int]:
        """How many there are on each plan, of those that any is on."""
        async with self._engine.connect() as connection:
            counts = select(TENANTS.c.plan, func.count().label("tenants")).group_by(TENANTS.c.plan)
            rows = await connection.execute(counts)
        return {row.plan: row.tenants for row in rows}

    async def set(self, name: str, entry: Mapping[str, Any], *, by: Actor) -> None:
        """In the place of what was set before; the same again changes nothing."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, name)
            if before != entry:
                row = {"name": name, "value": entry, "changed_by": by.name, "changed_at": change.at}
                await change.connection.execute(delete(PLANS).where(PLANS.c.name == name))
                await change.connection.execute(insert(PLANS), row)
                await change.note("set", PLAN, name, before, dict(entry))

    async def clear(self, name: str, *, unused: bool, by: Actor) -> None:
        """Raises NotThere if none was set, and Conflict if it has to be `unused` and tenants are on it."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, name)
            if before is None:
                raise NotThere("No such plan was set over the admin API.", "plan")
            on_it = select(func.count()).where(TENANTS.c.plan == name)
            if unused and (count := await change.connection.scalar(on_it)):
                who = "1 tenant is" if count == 1 else f"{count} tenants are"
                raise Conflict(
                    f"{who} on this plan, and the file has none of that name: give them another one.", "plan"
                )
            await change.connection.execute(delete(PLANS).where(PLANS.c.name == name))
            await change.note("clear", PLAN, name, before, {})


async def _find(change: Change, name: str) -> Any:
    """None if there is none."""
    return await change.connection.scalar(select(PLANS.c.value).where(PLANS.c.name == name))
