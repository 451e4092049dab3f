"""An authenticator over a store in memory, with clocks to turn."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Iterable, Mapping

from security.api import Changes, Grant, Principal, StoreAway
from security.authenticator import KeyAuthenticator
from security.keys import NewKey

NEVER = float("inf")
GRACE = 900.0
START = 1_800_000_000.0


class Clock:
    def __init__(self, now: float) -> None:
        self.now = now

    def __call__(self) -> float:
        return self.now


class Shelf:
    """A KeyStore in memory; `away` and `broken` make it fail, `full` takes nothing in, `gate` makes it wait."""

    def __init__(self) -> None:
        self.grants: dict[str, Grant] = {}
        self.news: list[Grant] = []
        self.revision = 1
        self.away = False
        self.full = False
        self.broken = False
        self.gate: asyncio.Event | None = None
        self.lookups = 0
        self.uses: dict[str, int] = {}

    def put(self, key: NewKey, ends: float = NEVER) -> None:
        grant = Grant(key.digest, ends, Principal(key.id, "acme", None, frozenset({"inference"}), 1, 0))
        self.grants[key.id] = grant
        self.news.append(grant)
        self.revision += 1

    def _answer(self) -> None:
        if self.away:
            raise StoreAway("Gone")

    async def open(self) -> None: ...

    async def find_many(self, key_ids: Collection[str]) -> Mapping[str, Grant]:
        self._answer()
        if self.broken:
            raise ValueError
        self.lookups += 1
        found = {key_id: self.grants[key_id] for key_id in key_ids if key_id in self.grants}
        if self.gate is not None:
            await self.gate.wait()
            self._answer()
        return found

    async def changes(self, since: int | None) -> Changes:
        self._answer()
        news, self.news = self.news, []
        return Changes(self.revision, news)

    async def note_uses(self, uses: Mapping[str, int]) -> None:
        if self.full:
            raise StoreAway("DiskFull")
        self.uses.update(uses)

    async def aclose(self) -> None: ...


class Door:
    """An authenticator with clocks to turn."""

    def __init__(self, grace: float = GRACE) -> None:
        self.clock, self.wall, self.shelf = Clock(1000.0), Clock(START), Shelf()
        self.checks = KeyAuthenticator(self.shelf, grace, self.clock, self.wall)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wall.now += seconds

    async def ask(self, key: str) -> Principal:
        return await self.ask_with(f"Bearer {key}".encode())

    async def ask_with(self, header: bytes) -> Principal:
        headers = {b"authorization": header}
        return self.checks.recall(headers) or await self.checks.learn(headers)

    async def ask_with_each(self, keys: Iterable[NewKey]) -> None:
        """Each on the shelf only while it is asked for, so that the memory is the authenticator's."""
        for key in keys:
            self.shelf.put(key)
            await self.ask(key.text)
            self.shelf.grants.clear()
            self.shelf.news.clear()
