"""Keys as an authenticator asks for them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Collection, Mapping
from contextlib import asynccontextmanager
from functools import lru_cache
from pathlib import Path
from sys import intern
from typing import Any

from sqlalchemy import URL, bindparam, or_, select, text, update
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncConnection

from gateway.store.database import PATIENCE, close, connect, is_sqlite
from gateway.store.migrations import NEWEST
from gateway.store.tables import CHANGES, KEYS, TENANTS
from security.api import Changes, Grant, Principal, StoreAway

PAGE = 200
"""Changed keys that are read at a time: others are served between two pages."""

_GRANTS = select(
    KEYS.c.id, KEYS.c.tenant, KEYS.c.digest, KEYS.c.scopes, KEYS.c.models, KEYS.c.expires, KEYS.c.revoked,
    TENANTS.c.models.label("tenant_models"), TENANTS.c.weight, TENANTS.c.priority, TENANTS.c.plan,
).join(TENANTS)  # fmt: skip
_FIND = _GRANTS.where(KEYS.c.id.in_(bindparam("ids", expanding=True)))
_CHANGED = (
    _GRANTS.where(or_(KEYS.c.revision > bindparam("since"), TENANTS.c.revision > bindparam("since")))
    .where(KEYS.c.id > bindparam("after"))
    .order_by(KEYS.c.id)
    .limit(PAGE)
)
_USED = (
    update(KEYS)
    .where(KEYS.c.id == bindparam("key"), or_(KEYS.c.used.is_(None), KEYS.c.used < bindparam("at")))
    .values(used=bindparam("at"))
)


ANEW = Changes(-1)
"""Nothing of before holds, and all that there is comes with the next question."""
_OF_OLD_TABLES = ("UndefinedTableError", "UndefinedColumnError")
_OLD_TABLES = "its tables are not those of this version: run snowshed migrate"


class SqlKeyStore:
    """A `security.api.KeyStore`."""

    def __init__(self, url: URL) -> None:
        self._url = url
        self._engine = connect(url)
        self._file: tuple[int, int] | None = None

    def __repr__(self) -> str:
        return f"<SqlKeyStore {self._url.render_as_string()}>"

    async def open(self) -> None:
        """A file's tables are brought up to date: nobody else would. Raises StoreAway."""
        if not is_sqlite(self._url):
            return
        try:
            if await self._revision() != NEWEST:
                from gateway.store.migrate import upgrade  # Alembic takes 12 MB, for once in a lifetime

                await upgrade(self._engine)
            self._file = self._identity()
        except (SQLAlchemyError, StoreAway) as error:
            reason = getattr(error, "driver_exception", error)
            raise StoreAway(f"{self._url.database} can't be used as a database: {reason}") from None

    async def _revision(self) -> str | None:
        async with self._engine.connect() as connection:
            try:
                found: str | None = await connection.scalar(text("SELECT version_num FROM alembic_version"))
            except OperationalError:  # there is no such table
                return None
        return found

    def _identity(self) -> tuple[int, int] | None:
        """What tells a file from another one in its place; None for a server. Raises StoreAway."""
        if not is_sqlite(self._url):
            return None
        try:
            found = Path(str(self._url.database)).stat()
        except OSError as error:
            raise StoreAway(type(error).__name__) from None
        return found.st_dev, found.st_ino

    async def find_many(self, key_ids: Collection[str]) -> Mapping[str, Grant]:
        async with self._asking() as connection:
            rows = (await connection.execute(_FIND, {"ids": sorted(key_ids)})).all()
        return {row.id: _grant(row) for row in rows}

    async def changes(self, since: int | None) -> Changes:
        file = self._identity()
        if file != self._file:  # connections that are open would go on reading what was there before
            await self._engine.dispose()
        async with self._asking() as connection:
            revision: int = (await connection.execute(select(CHANGES.c.revision))).scalar_one()
            if file != self._file:
                self._file = file
                return ANEW
            if since is None or since == revision:
                return Changes(revision)
        return Changes(revision, await self._changed(since))

    async def _changed(self, since: int) -> list[Grant]:
        """A tenant's change brings all its keys. Newer ones may come along; they come again with the next question."""
        grants: list[Grant] = []
        while True:
            last = grants[-1].principal.key_id if grants else ""
            async with self._asking() as connection:
                rows = (await connection.execute(_CHANGED, {"since": since, "after": last})).all()
            grants += map(_grant, rows)
            if len(rows) < PAGE:
                return grants

    async def note_uses(self, uses: Mapping[str, int]) -> None:
        # In one order, so that two processes can't wait for each other.
        values = [{"key": key, "at": uses[key]} for key in sorted(uses)]
        async with self._asking() as connection:
            await connection.execute(_USED, values)
            await connection.commit()

    async def aclose(self) -> None:
        await close(self._engine)

    @asynccontextmanager
    async def _asking(self) -> AsyncIterator[AsyncConnection]:
        try:
            async with asyncio.timeout(PATIENCE), self._engine.connect() as connection:
                yield connection
        except Exception as error:  # noqa: BLE001  # drivers have errors of their own for what they can't reach
            kind = type(getattr(error, "driver_exception", error)).__name__  # its text may hold what was asked
            raise StoreAway(_OLD_TABLES if kind in _OF_OLD_TABLES else kind) from None


def _grant(row: Any) -> Grant:
    ends = 0.0 if row.revoked is not None else float("inf") if row.expires is None else float(row.expires)
    limits = [_shared(*models) for models in (row.models, row.tenant_models) if models is not None]
    models = limits[0].intersection(limits[1]) if len(limits) > 1 else limits[0] if limits else None
    tenant, scopes = intern(row.tenant), _shared(*row.scopes)
    principal = Principal(row.id, tenant, models, scopes, row.weight, row.priority, intern(row.plan))
    return Grant(bytes(row.digest), ends, principal)


@lru_cache(1024)
def _shared(*names: str) -> frozenset[str]:
    """Thousands of keys in memory have the same few sets."""
    return frozenset(names)
