"""Keys and tenants in a database for tests, and what reads and writes them."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.database import address, connect
from gateway.store.keys import SqlKeyStore
from gateway.store.migrate import upgrade
from gateway.store.records import Actor, Tenant
from gateway.store.registry import Registry
from security.keys import NewKey

T = TypeVar("T")
SOMEBODY = Actor("test", "192.0.2.1")


@dataclass(slots=True)
class Clock:
    now: float = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now


@dataclass(slots=True)
class Stored:
    """`clock` is the registry's Unix time."""

    engine: AsyncEngine
    registry: Registry
    store: SqlKeyStore
    clock: Clock = field(default_factory=Clock)


class KeyBook:
    """Tenants and keys of a database, changed from outside a loop as another process would."""

    def __init__(self, url: str) -> None:
        self.url = url
        self._run(upgrade)

    def tenant(self, name: str = "acme", **terms: Any) -> Tenant:
        return self.do(lambda registry: registry.create_tenant(Tenant(name=name, **terms), by=SOMEBODY))

    def key(self, tenant: str = "acme", **terms: Any) -> NewKey:
        return self.do(lambda registry: registry.create_key(tenant, by=SOMEBODY, **terms))[1]

    def revoke(self, key: NewKey) -> None:
        self.do(lambda registry: registry.revoke_key(key.id, by=SOMEBODY))

    def do(self, change: Callable[[Registry], Awaitable[T]]) -> T:
        """Something else with the registry; on real time."""
        return self._run(lambda engine: change(Registry(engine, time.time)))

    def _run(self, call: Callable[[AsyncEngine], Awaitable[T]]) -> T:
        async def run() -> T:
            engine = connect(address(self.url))
            try:
                return await call(engine)
            finally:
                await engine.dispose()

        with ThreadPoolExecutor(1) as thread:  # a loop may be running in this one
            return thread.submit(asyncio.run, run()).result()
