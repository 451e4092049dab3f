"""Tenants and keys as those who run the gateway see and change them.

Every change is on disk when its call returns, together with its entry in the audit trail.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.store.changing import Change, changing
from gateway.store.database import comparable
from gateway.store.limit_overrides import LimitOverrideTable
from gateway.store.plans import PlanTable
from gateway.store.records import (
    PAGE,
    Actor,
    Conflict,
    Entry,
    Key,
    NotThere,
    Tenant,
    check_key,
    check_seconds,
    check_tenant,
)
from gateway.store.steering import SteeringTable
from gateway.store.tables import AUDIT, KEYS, TENANTS, good_key
from gateway.store.usage import UsageTable
from security.api import SCOPES
from security.keys import NewKey, mint


class Registry:
    """`wall` gives Unix time. Every method raises RegistryError for a mistake, SQLAlchemy's errors for a failure."""

    def __init__(self, engine: AsyncEngine, wall: Callable[[], float], make: Callable[[], NewKey] = mint) -> None:
        self._engine = engine
        self._wall = wall
        self._make = make
        self.steering = SteeringTable(engine, wall)
        self.plans = PlanTable(engine, wall)
        self.limit_overrides = LimitOverrideTable(engine, wall)
        self.usage = UsageTable(engine)

    def __repr__(self) -> str:
        return f"<Registry in {self._engine.url.render_as_string()}>"

    # Tenants

    async def tenants(self, after: str = "", limit: int = PAGE) -> list[Tenant]:
        """By name."""
        query = (
            select(TENANTS).where(TENANTS.c.name > comparable(after)).order_by(TENANTS.c.name).limit(min(limit, PAGE))
        )
        return await self._page(Tenant, query)

    async def tenant(self, name: str) -> Tenant:
        """Raises NotThere."""
        async with self._engine.connect() as connection:
            return await _find_tenant(connection, name)

    async def create_tenant(self, tenant: Tenant, *, by: Actor) -> Tenant:
        """Raises Conflict if there is one of that name."""
        check_tenant(tenant)
        try:
            async with self._changing(by) as change:
                tenant = msgspec.structs.replace(tenant, created=change.at)
                values = {**msgspec.structs.asdict(tenant), "revision": change.revision}
                await change.connection.execute(insert(TENANTS), values)
                await _note(change, "create", None, tenant)
        except IntegrityError:
            raise Conflict(f"There is a tenant {tenant.name} already.", "name") from None
        return tenant

    async def change_tenant(self, name: str, *, by: Actor, **changes: Any) -> Tenant:
        """Replace some of plan, weight, priority and models; its keys follow within seconds. Raises NotThere."""
        async with self._changing(by) as change:
            before = await _find_tenant(change.connection, name)
            tenant = msgspec.structs.replace(before, **changes)
            check_tenant(tenant)
            values = {**changes, "revision": change.revision}
            await change.connection.execute(update(TENANTS).where(TENANTS.c.name == name).values(**values))
            await _note(change, "change", before, tenant)
        return tenant

    # Keys

    async def keys(self, tenant: str | None = None, after: str = "", limit: int = PAGE) -> list[Key]:
        """By id; of one tenant, or of all."""
        query = select(KEYS).where(KEYS.c.id > comparable(after)).order_by(KEYS.c.id).limit(min(limit, PAGE))
        if tenant is not None:
            query = query.where(KEYS.c.tenant == comparable(tenant))
        return await self._page(Key, query)

    async def has_good_key(self) -> bool:
        """Whether anybody has one that is neither revoked nor over."""
        async with self._engine.connect() as connection:
            good = select(KEYS.c.id).where(good_key(int(self._wall()))).limit(1)
            return await connection.scalar(good) is not None

    async def key(self, key_id: str) -> Key:
        """Raises NotThere."""
        async with self._engine.connect() as connection:
            return await _find_key(connection, key_id)

    async def create_key(
        self, tenant: str, label: str = "", *, by: Actor, scopes: list[str] | None = None,
        models: list[str] | None = None, expires_in: float | None = None,
    ) -> tuple[Key, NewKey]:  # fmt: skip
        """The second half of the answer holds the secret, which can't be had again. Raises NotThere for the tenant.

        `expires_in`: seconds for which it is good; None: until it is revoked.
        """
        new, now = self._make(), int(self._wall())
        if expires_in is not None:
            check_seconds(expires_in, 1, "expires_in")
        key = Key(
            id=new.id, tenant=tenant, label=label, scopes=scopes or [SCOPES[0]], models=models, created=now,
            expires=None if expires_in is None else now + int(expires_in),
        )  # fmt: skip
        check_key(key)
        async with self._changing(by) as change:
            await _find_tenant(change.connection, tenant)
            await _insert(change, key, new)
            await _note(change, "create", None, key)
        return key, new

    async def revoke_key(self, key_id: str, *, by: Actor) -> Key:
        """For good; a key revoked before stays so since then. Raises NotThere."""
        async with self._changing(by) as change:
            before = await _find_key(change.connection, key_id)
            if before.revoked is not None:
                return before
            key = msgspec.structs.replace(before, revoked=change.at)
            await _write(change, key)
            await _note(change, "revoke", before, key)
        return key

    async def rotate_key(self, key_id: str, overlap: float, *, by: Actor) -> tuple[Key, NewKey]:
        """A new key with the same rights; the old one ends in `overlap` seconds, or at its own time if sooner.

        Raises NotThere, and Conflict for a key that is no longer good.
        """
        check_seconds(overlap, 0, "overlap")
        new = self._make()
        async with self._changing(by) as change:
            old, end = await _find_key(change.connection, key_id), change.at + int(overlap)
            if old.revoked is not None or (old.expires is not None and old.expires <= change.at):
                raise Conflict(f"Key {key_id} is no longer good; create another one.", "id")
            key = msgspec.structs.replace(old, id=new.id, created=change.at, used=None)
            await _insert(change, key, new)
            ending = msgspec.structs.replace(old, expires=end if old.expires is None else min(old.expires, end))
            await _write(change, ending)
            await _note(change, "rotate", old, ending)
            await _note(change, "create", None, key)
        return key, new

    # What was changed

    async def audit(self, after: int = 0, limit: int = PAGE, of: str | None = None) -> list[Entry]:
        """In the order of changes; of one tenant or key by its name, or of all."""
        query = select(AUDIT).where(AUDIT.c.id > after).order_by(AUDIT.c.id).limit(min(limit, PAGE))
        if of is not None:
            query = query.where(AUDIT.c.object == comparable(of))
        return await self._page(Entry, query)

    async def _page(self, kind: Any, query: Any) -> list[Any]:
        """Made a hundred at a time: whoever shares the loop with those who look is served meanwhile."""
        async with self._engine.connect() as connection:
            rows = await connection.execute(query)
        found: list[Any] = []
        for some in rows.partitions(100):
            found += [_row(kind, row) for row in some]
            await asyncio.sleep(0)
        return found

    async def note(self, action: str, kind: str, name: str, before: Any, after: dict[str, Any], *, by: Actor) -> None:
        """In the audit trail: a change of something that is kept elsewhere."""
        async with self._changing(by) as change:
            await change.note(action, kind, name, before, after)

    def _changing(self, by: Actor) -> AbstractAsyncContextManager[Change]:
        return changing(self._engine, self._wall, by)


async def _insert(change: Change, key: Key, new: NewKey) -> None:
    values = {**msgspec.structs.asdict(key), "digest": new.digest, "revision": change.revision}
    await change.connection.execute(insert(KEYS), values)


async def _write(change: Change, key: Key) -> None:
    values = {"expires": key.expires, "revoked": key.revoked, "revision": change.revision}
    await change.connection.execute(update(KEYS).where(KEYS.c.id == key.id).values(**values))


async def _note(change: Change, action: str, before: Tenant | Key | None, after: Tenant | Key) -> None:
    """Neither half holds a secret, as these records know none."""
    kind, name = ("tenant", after.name) if isinstance(after, Tenant) else ("key", after.id)
    await change.note(action, kind, name, msgspec.to_builtins(before), msgspec.to_builtins(after))


def _row(kind: Any, row: Any) -> Any:
    return kind(**{name: row._mapping[name] for name in kind.__struct_fields__})  # noqa: SLF001  # public, in spite of its name


async def _find_tenant(connection: AsyncConnection, name: str) -> Tenant:
    row = (await connection.execute(select(TENANTS).where(TENANTS.c.name == comparable(name)))).first()
    if row is None or row.name != name:
        raise NotThere(f"There is no tenant {name}.", "tenant")
    found: Tenant = _row(Tenant, row)
    return found


async def _find_key(connection: AsyncConnection, key_id: str) -> Key:
    row = (await connection.execute(select(KEYS).where(KEYS.c.id == comparable(key_id)))).first()
    if row is None or row.id != key_id:
        raise NotThere(f"There is no key {key_id}.", "id")
    found: Key = _row(Key, row)
    return found
