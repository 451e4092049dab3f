"""Overrides of plans' figures that were set: kept over restarts, and for every process of the same database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import ColumnElement, delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.changing import Change, changing
from gateway.store.records import Actor, NotThere
from gateway.store.tables import LIMIT_OVERRIDES

LIMIT_OVERRIDE: Final = "limits of {holder}"
"""What one is called in the audit trail."""
STEP: Final = 500
"""Rows that are read at a time: there may be one for each tenant, and they are made up on the loop."""


class LimitOverrideTable:
    """Knows nothing of what one may say. `holder`: `tenant` or `key`. Raises SQLAlchemy's errors.

    `wall` gives Unix time.
    """

    def __init__(self, engine: AsyncEngine, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    def __repr__(self) -> str:
        return f"<LimitOverrideTable in {self._engine.url.render_as_string()}>"

    async def all(self) -> dict[tuple[str, str], Any]:
        """What was given for each, by whose it is: the holder and its name."""
        async with self._engine.connect() as connection:
            rows = await connection.stream(select(LIMIT_OVERRIDES).order_by(LIMIT_OVERRIDES.c.name))
            parts = rows.partitions(STEP)
            return {(row.holder, row.name): row.value async for some in parts for row in some}

    async def set(self, holder: str, name: str, entry: Mapping[str, Any], *, by: Actor) -> None:
        """In the place of what was set before; the same again changes nothing."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, holder, name)
            if before != entry:
                row = {
                    "holder": holder, "name": name, "value": entry, "changed_by": by.name, "changed_at": change.at
                }  # fmt: skip
                await change.connection.execute(delete(LIMIT_OVERRIDES).where(*_of(holder, name)))
                await change.connection.execute(insert(LIMIT_OVERRIDES), row)
                await change.note("set", LIMIT_OVERRIDE.format(holder=holder), name, before, dict(entry))

    async def clear(self, holder: str, name: str, *, by: Actor) -> None:
        """Raises NotThere if none was set."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, holder, name)
            if before is None:
                raise NotThere(f"No override of that {holder} was set over the admin API.", holder)
            await change.connection.execute(delete(LIMIT_OVERRIDES).where(*_of(holder, name)))
            await change.note("clear", LIMIT_OVERRIDE.format(holder=holder), name, before, {})


async def _find(change: Change, holder: str, name: str) -> Any:
    """None if there is none."""
    return await change.connection.scalar(select(LIMIT_OVERRIDES.c.value).where(*_of(holder, name)))


def _of(holder: str, name: str) -> tuple[ColumnElement[bool], ...]:
    return LIMIT_OVERRIDES.c.holder == holder, LIMIT_OVERRIDES.c.name == name
