"""The registry as it is asked over the network: by few at a time, each within seconds, and every failure is one."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import URL, String, cast, or_, select

from gateway.admin.roles import ROLES
from gateway.store.database import close, connect, is_sqlite
from gateway.store.records import RegistryError
from gateway.store.registry import Registry
from gateway.store.tables import CHANGES, KEYS, good_key
from security.api import StoreAway

T = TypeVar("T")

AT_ONCE = 4
PATIENCE = 7.0
"""Seconds for all that a request wants of the database: more than SQLite waits for another process's write."""
LEAVE = 2.0
"""Seconds at the end for what is still asked."""


class BoundedRegistry:
    """A Registry for many; `wall` gives Unix time. No file is kept open: it could be replaced meanwhile."""

    def __init__(self, url: URL, wall: Callable[[], float]) -> None:
        self._url = url
        self._engine = connect(url, keeping=not is_sqlite(url))
        self._registry = Registry(self._engine, wall)
        self._wall = wall
        self._turns = asyncio.Semaphore(AT_ONCE)
        self._under_way: set[asyncio.Task[Any]] = set()
        self._seen: tuple[int, str | None] | None = None
        """The last change, and the key changed last: another database may count as far, but has other keys."""

    def __repr__(self) -> str:
        return f"<BoundedRegistry {self._url.render_as_string()}>"

    async def ask(self, work: Callable[[Registry], Awaitable[T]]) -> T:
        """What `work` gives. Raises its RegistryErrors, and StoreAway for everything else.

        A change that is not confirmed in time may have been made all the same. So may one whose asker has left: it is
        not cut short, since a driver that is would come back when its loop may be gone.
        """
        asking = asyncio.get_running_loop().create_task(self._ask(work))
        self._under_way.add(asking)
        asking.add_done_callback(self._under_way.discard)
        return await asyncio.shield(asking)

    async def _ask(self, work: Callable[[Registry], Awaitable[T]]) -> T:
        try:
            async with asyncio.timeout(PATIENCE), self._turns:
                self._find_file()
                return await work(self._registry)
        except RegistryError:
            raise
        except Exception as error:  # noqa: BLE001  # drivers have errors of their own for what they can't reach
            raise StoreAway(type(getattr(error, "driver_exception", error)).__name__) from None

    async def has_ruler(self) -> bool:
        """Whether there is a good key with another scope than to call models. Cheap while nothing changes.

        Raises StoreAway.
        """
        return await self.ask(lambda _: self._look_for_ruler())

    async def _look_for_ruler(self) -> bool:
        async with self._engine.connect() as connection:
            newest = select(KEYS.c.id).order_by(KEYS.c.revision.desc()).limit(1).scalar_subquery()
            state = tuple((await connection.execute(select(CHANGES.c.revision, newest))).one())
            if state == self._seen:
                return False
            scopes = cast(KEYS.c.scopes, String)
            rules = or_(*(scopes.contains(f'"{scope}"') for scope in ROLES))
            found = await connection.scalar(select(KEYS.c.id).where(good_key(int(self._wall())), rules).limit(1))
        if found is None:
            self._seen = state
        return found is not None

    def _find_file(self) -> None:
        """SQLite would make an empty one in the place of one that is gone."""
        if is_sqlite(self._url) and not Path(str(self._url.database)).exists():
            raise FileNotFoundError

    async def aclose(self) -> None:
        """What is still asked gets a while to end."""
        if self._under_way:
            await asyncio.wait(self._under_way, timeout=LEAVE)
        for asking in tuple(self._under_way):
            asking.cancel()
        await close(self._engine)
