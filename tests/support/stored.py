"""Keys and tenants in a database for tests, and what reads and writes them."""

from __future__ import annotations

from dataclasses import dataclass, field

from sqlalchemy.ext.asyncio import AsyncEngine

from gateway.store.keys import SqlKeyStore
from gateway.store.registry import Registry


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
