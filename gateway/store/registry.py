"""Tenants and keys as those who run the gateway see and change them; every change is on disk when its call returns."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import msgspec
from sqlalchemy import insert, select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine

from gateway.store.tables import CHANGES, KEYS, TENANTS
from security.api import SCOPES
from security.keys import NewKey, mint

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}").fullmatch
PAGE = 1000
"""Most rows of one answer."""
WEIGHTS, PRIORITIES, LABEL = range(1, 1001), range(101), 128


class RegistryError(Exception):
    """What is asked for can't be, in a sentence for people."""


class NotThere(RegistryError):
    """This database has no such tenant or key; another may."""


class Tenant(msgspec.Struct, frozen=True, kw_only=True):
    """Who pays, and what is theirs. `models` None: all of them."""

    name: str
    plan: str = "default"
    weight: int = 1
    priority: int = 0
    models: list[str] | None = None
    created: int = 0


class Key(msgspec.Struct, frozen=True, kw_only=True):
    """A key without its secret. Times in Unix seconds; `used` is late by up to a quarter of a minute."""

    id: str
    tenant: str
    label: str = ""
    scopes: list[str] = msgspec.field(default_factory=lambda: [SCOPES[0]])
    models: list[str] | None = None
    created: int = 0
    expires: int | None = None
    revoked: int | None = None
    used: int | None = None


class Registry:
    """`wall` gives Unix time. Every method raises RegistryError for a mistake, SQLAlchemy's errors for a failure."""

    def __init__(self, engine: AsyncEngine, wall: Callable[[], float], make: Callable[[], NewKey] = mint) -> None:
        self._engine = engine
        self._wall = wall
        self._make = make

    def __repr__(self) -> str:
        return f"<Registry in {self._engine.url.render_as_string()}>"

    # Tenants

    async def tenants(self, after: str = "", limit: int = PAGE) -> list[Tenant]:
        """By name."""
        query = select(TENANTS).where(TENANTS.c.name > after).order_by(TENANTS.c.name).limit(min(limit, PAGE))
        return [_row(Tenant, row) for row in await self._rows(query)]

    async def create_tenant(self, tenant: Tenant) -> Tenant:
        _check_tenant(tenant)
        values = {**msgspec.structs.asdict(tenant), "created": int(self._wall())}
        try:
            async with self._changing() as (connection, revision):
                await connection.execute(insert(TENANTS), {**values, "revision": revision})
        except IntegrityError:
            raise RegistryError(f"There is a tenant {tenant.name} already.") from None
        return Tenant(**values)

    async def change_tenant(self, name: str, **changes: Any) -> Tenant:
        """Replace some of plan, weight, priority and models; its keys follow within seconds."""
        async with self._changing() as (connection, revision):
            row = (await connection.execute(select(TENANTS).where(TENANTS.c.name == name))).first()
            if row is None:
                raise NotThere(f"There is no tenant {name}.")
            tenant: Tenant = msgspec.structs.replace(_row(Tenant, row), **changes)
            _check_tenant(tenant)
            await connection.execute(update(TENANTS).where(TENANTS.c.name == name).values(**changes, revision=revision))
        return tenant

    # Keys

    async def keys(self, tenant: str | None = None, after: str = "", limit: int = PAGE) -> list[Key]:
        """By id; of one tenant, or of all."""
        query = select(KEYS).where(KEYS.c.id > after).order_by(KEYS.c.id).limit(min(limit, PAGE))
        if tenant is not None:
            query = query.where(KEYS.c.tenant == tenant)
        return [_row(Key, row) for row in await self._rows(query)]

    async def create_key(
        self, tenant: str, label: str = "", *, scopes: list[str] | None = None, models: list[str] | None = None,
        expires: int | None = None,
    ) -> tuple[Key, NewKey]:  # fmt: skip
        """The second half of the answer holds the secret, which can't be had again."""
        new = self._make()
        key = Key(
            id=new.id, tenant=tenant, label=label, scopes=scopes or [SCOPES[0]], models=models,
            created=int(self._wall()), expires=expires,
        )  # fmt: skip
        _check_key(key)
        try:
            async with self._changing() as (connection, revision):
                await _insert(connection, key, new, revision)
        except IntegrityError:
            raise NotThere(f"There is no tenant {tenant}.") from None
        return key, new

    async def revoke_key(self, key_id: str) -> Key:
        """For good; a key revoked before stays so since then."""
        async with self._changing() as (connection, revision):
            key = await _find(connection, key_id)
            if key.revoked is None:
                key = msgspec.structs.replace(key, revoked=int(self._wall()))
                await _write(connection, key, revision)
        return key

    async def rotate_key(self, key_id: str, overlap: float) -> tuple[Key, NewKey]:
        """A new key with the same rights; the old one ends in `overlap` seconds, or at its own time if sooner."""
        new, now = self._make(), int(self._wall())
        async with self._changing() as (connection, revision):
            old = await _find(connection, key_id)
            if old.revoked is not None or (old.expires is not None and old.expires <= now):
                raise RegistryError(f"Key {key_id} is no longer good; create another one.")
            end = now + int(overlap)
            key = msgspec.structs.replace(old, id=new.id, created=now, used=None)
            await _insert(connection, key, new, revision)
            ending = msgspec.structs.replace(old, expires=end if old.expires is None else min(old.expires, end))
            await _write(connection, ending, revision)
        return key, new

    async def _rows(self, query: Any) -> list[Any]:
        async with self._engine.connect() as connection:
            return list(await connection.execute(query))

    @asynccontextmanager
    async def _changing(self) -> AsyncIterator[tuple[AsyncConnection, int]]:
        """One change, all or nothing, under the next number; no other begins before this one ends."""
        async with self._engine.begin() as connection:
            raise_it = update(CHANGES).values(revision=CHANGES.c.revision + 1).returning(CHANGES.c.revision)
            yield connection, (await connection.execute(raise_it)).scalar_one()


def _row(kind: Any, row: Any) -> Any:
    return kind(**{name: row._mapping[name] for name in kind.__struct_fields__})  # noqa: SLF001  # public, in spite of its name


async def _find(connection: AsyncConnection, key_id: str) -> Key:
    row = (await connection.execute(select(KEYS).where(KEYS.c.id == key_id))).first()
    if row is None:
        raise NotThere(f"There is no key {key_id}.")
    found: Key = _row(Key, row)
    return found


async def _insert(connection: AsyncConnection, key: Key, new: NewKey, revision: int) -> None:
    values = {**msgspec.structs.asdict(key), "digest": new.digest, "revision": revision}
    await connection.execute(insert(KEYS), values)


async def _write(connection: AsyncConnection, key: Key, revision: int) -> None:
    values = {"expires": key.expires, "revoked": key.revoked, "revision": revision}
    await connection.execute(update(KEYS).where(KEYS.c.id == key.id).values(**values))


def _check_tenant(tenant: Tenant) -> None:
    if not _NAME(tenant.name):
        raise RegistryError("A tenant's name takes 1 to 64 letters, digits and any of . _ -, a letter or digit first.")
    if not _NAME(tenant.plan):
        raise RegistryError("A plan's name takes 1 to 64 letters, digits and any of . _ -, a letter or digit first.")
    if tenant.weight not in WEIGHTS:
        raise RegistryError("A weight is a whole number from 1 to 1000.")
    if tenant.priority not in PRIORITIES:
        raise RegistryError("A priority is a whole number from 0 to 100.")
    _check_models(tenant.models)


def _check_key(key: Key) -> None:
    if len(key.label) > LABEL or not key.label.isprintable():
        raise RegistryError("A label takes at most 128 printable characters.")
    if unknown := set(key.scopes) - set(SCOPES):
        raise RegistryError(f"There is no scope {min(unknown)}; there are {', '.join(SCOPES)}.")
    if key.expires is not None and key.expires <= key.created:
        raise RegistryError("A key can't expire before it is made.")
    _check_models(key.models)


def _check_models(models: list[str] | None) -> None:
    if models is not None and not all(re.fullmatch(r"[\x21-\x7e]{1,257}", name) for name in models):
        raise RegistryError("Models are named by printable ASCII characters without spaces.")
