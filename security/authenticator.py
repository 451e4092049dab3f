"""Checks keys from memory, and asks the store only for those not met before.

Revocation takes effect everywhere within 5 s without a message between processes: every change in the store gets the
next number of one counter, and each process asks every `POLL` seconds for what changed since the number it has seen;
a query takes 2 s at most. Keys looked up while such news arrived are looked up again. Expiry is compared with the
clock at every use. While the store is away, keys in memory go on working for `grace` seconds since it last answered
(so a revocation may be learned that much later), and all others are told to come back.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass

from security.api import Grant, Headers, KeyStore, Principal, StoreAway, Unauthenticated
from security.bearer import bearer
from security.keys import digest, key_id
from security.lookups import Lookups
from security.room import make_room

_logger = logging.getLogger("snowshed")

POLL = 2.0
REFUSED_FOR = 5.0
"""Seconds for which a key that is not good is refused without asking again."""
NOTE_EVERY = 10.0
"""Seconds between two notes of one key's use."""
KNOWN, REFUSED = 20_000, 10_000
"""Most keys kept in memory, of either kind; the oldest go first."""


@dataclass(slots=True)
class _Known:
    grant: Grant
    note_at: float = 0.0


class KeyAuthenticator:
    """An Authenticator over a KeyStore. `clock` is monotonic, `wall` Unix time, `grace` in seconds."""

    def __init__(self, store: KeyStore, grace: float, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._store = store
        self._grace = grace
        self._clock = clock
        self._wall = wall
        self._known: dict[bytes, _Known] = {}
        self._refused: dict[bytes, float] = {}
        self._lookups = Lookups(self._read, self._judge)
        self._uses: dict[str, int] = {}
        self._seen: int | None = None
        self._trusted_until = 0.0
        self.trouble = "keys: not asked yet"

    def __repr__(self) -> str:
        return f"<KeyAuthenticator {len(self._known)} known, {len(self._refused)} refused; {self.trouble or 'current'}>"

    @property
    def able(self) -> bool:
        return not self.trouble or self._clock() < self._trusted_until

    def recall(self, headers: Headers) -> Principal | None:
        hashed = digest(bearer(headers))
        now = self._clock()
        known = self._known.get(hashed)
        if known is None:
            if self._refused.get(hashed, 0.0) > now:
                raise Unauthenticated(sent=True)
            return None
        if self.trouble and now >= self._trusted_until:
            raise StoreAway(self.trouble)
        grant = known.grant
        unix = self._wall()
        if unix >= grant.ends:
            raise Unauthenticated(sent=True)
        if now >= known.note_at:
            known.note_at = now + NOTE_EVERY
            self._uses[grant.principal.key_id] = int(unix)
        return grant.principal

    async def learn(self, headers: Headers) -> Principal:
        key = bearer(headers)
        hashed, name = digest(key), key_id(key)
        if name is None:
            raise Unauthenticated(sent=True)
        if self.trouble:  # whether that is over finds `watch`, not each request
            raise StoreAway(self.trouble)
        principal = await self._lookups.find(name, hashed)
        if principal is None:
            raise Unauthenticated(sent=True)
        return principal

    async def _read(self, key_ids: Collection[str]) -> Mapping[str, Grant]:
        while True:
            seen = self._seen
            grants = await self._store.find_many(key_ids)
            if seen == self._seen:  # else what was read may be older than the news that came meanwhile
                return grants

    def _judge(self, name: str, hashed: bytes, grant: Grant | None) -> Principal | None:
        now, unix = self._clock(), self._wall()
        if grant is None or not hmac.compare_digest(grant.digest, hashed) or unix >= grant.ends:
            make_room(self._refused, REFUSED)
            self._refused[hashed] = now + REFUSED_FOR
            return None
        make_room(self._known, KNOWN)
        self._known[hashed] = _Known(grant, now + NOTE_EVERY)
        self._uses[name] = int(unix)
        return grant.principal

    async def start(self) -> None:
        await self._store.open()
        await self.refresh()

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(POLL)
            await self.refresh()

    async def aclose(self) -> None:
        await self._lookups.aclose()
        if not self.trouble:
            await self.refresh()  # the last uses
        await self._store.aclose()

    async def refresh(self) -> None:
        """Learn what changed in the store, and tell it what was used. Never raises."""
        asked_at = self._clock()
        try:
            changes = await self._store.changes(self._seen)
        except StoreAway as away:
            self._tell(f"keys: the database can't be asked ({away.reason})")
            return
        self._apply(changes.revision, changes.grants)
        self._trusted_until = asked_at + self._grace
        self._tell("")
        await self._note()

    async def _note(self) -> None:
        uses, self._uses = self._uses, {}
        try:
            if uses:
                await self._store.note_uses(uses)
        except StoreAway:  # a full disk, a lock: keys can be checked all the same, and this can be told later
            self._uses = uses | self._uses

    def _apply(self, revision: int, grants: Sequence[Grant]) -> None:
        if self._seen is not None and revision < self._seen:  # the database was replaced by an older one
            self._known.clear()
        self._seen = revision
        for grant in grants:
            self._refused.pop(grant.digest, None)
            known = self._known.get(grant.digest)
            if known is not None:
                known.grant = grant

    def _tell(self, trouble: str) -> None:
        if bool(trouble) != bool(self.trouble) or self._seen is None:
            if trouble:
                _logger.warning("keys not current", extra={"reason": trouble, "grace_s": self._grace})
            else:
                _logger.info("keys current")
        self.trouble = trouble
