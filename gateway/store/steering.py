"""What was set about models' versions: kept over restarts, and for every process of the same database."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

from sqlalchemy import delete, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.changing import Change, changing
from gateway.store.records import Actor, Conflict
from gateway.store.tables import OVERRIDES

WEIGHTS: Final = "weights"
DRAINED: Final = "drained"
VERSIONS: Final = "versions"


class SteeringTable:
    """Knows nothing of what there is: whoever asks has looked. Raises SQLAlchemy's errors; `wall` gives Unix time."""

    def __init__(self, engine: AsyncEngine, wall: Callable[[], float]) -> None:
        self._engine = engine
        self._wall = wall

    def __repr__(self) -> str:
        return f"<SteeringTable in {self._engine.url.render_as_string()}>"

    async def all(self) -> Mapping[tuple[str, str], Any]:
        """By kind and model: of the kind WEIGHTS a number for each version, of the kind DRAINED a list of versions, of
        the kind VERSIONS an entry for each version that was set whole.
        """
        async with self._engine.connect() as connection:
            rows = await connection.execute(select(OVERRIDES.c.kind, OVERRIDES.c.model, OVERRIDES.c.value))
        return {(row.kind, row.model): row.value for row in rows}

    async def set_weights(self, model: str, weights: Mapping[str, float], *, by: Actor) -> None:
        """In the place of those that were set before."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, WEIGHTS, model)
            await _put(change, WEIGHTS, model, dict(weights))
            await change.note("set", WEIGHTS, model, before, dict(weights))

    async def clear_weights(self, model: str, *, by: Actor) -> None:
        """None set: nothing changes."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, WEIGHTS, model)
            if before is not None:
                await _put(change, WEIGHTS, model, None)
                await change.note("clear", WEIGHTS, model, before, {})

    async def drain(self, model: str, version: str, *, by: Actor) -> None:
        """Drained already: nothing changes."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, DRAINED, model) or []
            if version not in before:
                await _put(change, DRAINED, model, sorted([*before, version]))
                await change.note("drain", "version", f"{model}@{version}", {"drained": False}, {"drained": True})

    async def restore(self, model: str, version: str, *, by: Actor) -> None:
        """Not drained: nothing changes."""
        async with changing(self._engine, self._wall, by) as change:
            before = await _find(change, DRAINED, model) or []
            if version in before:
                await _put(change, DRAINED, model, [other for other in before if other != version])
                await change.note("restore", "version", f"{model}@{version}", {"drained": True}, {"drained": False})

    async def set_version(
        self, model: str, version: str, entry: dict[str, Any] | None, seen: Mapping[str, Any], *, by: Actor
    ) -> None:
        """In the place of one that was set before; None: none. Raises Conflict if what is set of all models is not
        `seen` any more, which was looked at to find whether this may be.
        """
        async with changing(self._engine, self._wall, by) as change:
            query = select(OVERRIDES.c.model, OVERRIDES.c.value).where(OVERRIDES.c.kind == VERSIONS)
            rows = {row.model: row.value for row in await change.connection.execute(query)}
            if rows != seen:
                raise Conflict("Others have set versions at the same time: look at them, and ask again.", "version")
            own = rows.get(model, {})
            left = {other: kept for other, kept in own.items() if other != version}
            await _put(change, VERSIONS, model, left if entry is None else {**left, version: entry})
            action = "clear" if entry is None else "set"
            await change.note(action, "version", f"{model}@{version}", own.get(version), entry or {})


async def _find(change: Change, kind: str, model: str) -> Any:
    """None if there is none."""
    of_it = OVERRIDES.c.kind == kind, OVERRIDES.c.model == model
    return await change.connection.scalar(select(OVERRIDES.c.value).where(*of_it))


async def _put(change: Change, kind: str, model: str, value: Any) -> None:
    """In the place of what there was; what is empty or None leaves nothing."""
    await change.connection.execute(delete(OVERRIDES).where(OVERRIDES.c.kind == kind, OVERRIDES.c.model == model))
    if value:
        row = {"kind": kind, "model": model, "value": value, "changed_by": change.by.name, "changed_at": change.at}
        await change.connection.execute(insert(OVERRIDES), row)
