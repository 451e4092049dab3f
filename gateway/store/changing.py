"""A change of what is kept: all or nothing, one at a time, and never without its entry in the audit trail."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

from sqlalchemy import insert, update
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.store.records import Actor
from gateway.store.tables import AUDIT, CHANGES


@dataclass(slots=True, frozen=True)
class Change:
    """One that is being made, under its number `revision`. `at` in Unix seconds."""

    connection: AsyncConnection
    revision: int
    by: Actor
    at: int

    async def note(self, action: str, kind: str, name: str, before: Any, after: dict[str, Any]) -> None:
        """In the audit trail: what was done to the thing of that kind and name; `before` None for what is new."""
        values = {
            "at": self.at, "actor": self.by.name, "address": self.by.address, "action": action, "kind": kind,
            "object": name, "before": before, "after": after,
        }  # fmt: skip
        await self.connection.execute(insert(AUDIT), values)


@asynccontextmanager
async def changing(engine: AsyncEngine, wall: Callable[[], float], by: Actor) -> AsyncIterator[Change]:
    """A change under the next number; no other begins before this one ends. `wall` gives Unix time."""
    async with engine.begin() as connection:
        raise_it = update(CHANGES).values(revision=CHANGES.c.revision + 1).returning(CHANGES.c.revision)
        revision = (await connection.execute(raise_it)).scalar_one()
        yield Change(connection, revision, by, int(wall()))
