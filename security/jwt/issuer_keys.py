"""An issuer's keys in memory: asked for again at times, sooner for one that is not there, and never too often.

Every `FRESH` seconds they are asked for, and `EVERY` seconds after the last time at the soonest, whoever wants them: an
id that is not there may be that of a new key, or made up. Keys that were taken back are gone with the next answer.
While the issuer is away, those in memory go on working for `grace` seconds since it last answered.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Collection

from security.api import StoreAway
from security.jwt.api import KeySource
from security.jwt.jwks import Key, Keys, read

_logger = logging.getLogger("snowshed")

FRESH = 300.0
EVERY = 5.0
WAITING = 2_000
"""Most tokens that wait for keys to be asked for."""


class IssuerKeys:
    """`algorithms` are those that are accepted, `grace` and `every` in seconds, `clock` is monotonic."""

    def __init__(
        self,
        source: KeySource,
        algorithms: Collection[str],
        grace: float,
        clock: Callable[[], float],
        every: float = EVERY,
    ) -> None:
        self._source = source
        self._algorithms = frozenset(algorithms)
        self._grace = grace
        self._clock = clock
        self._every = every
        self._keys: Keys = {}
        self._asked_at = -every
        self._asking: asyncio.Task[None] | None = None
        self._waiting = 0
        self._trusted_until = 0.0
        self.trouble = "tokens: their issuer was not asked yet"

    def __repr__(self) -> str:
        return f"<IssuerKeys {len(self._keys)} keys, {self._waiting} waiting; {self.trouble or 'current'}>"

    @property
    def able(self) -> bool:
        return not self.trouble or self._clock() < self._trusted_until

    def accepts(self, algorithm: str) -> bool:
        return algorithm in self._algorithms

    def find(self, kid: str, algorithm: str) -> Key | None:
        """A token without an id (kid "") may be signed by the only key of its algorithm."""
        if kid:
            return self._keys.get((kid, algorithm))
        fitting = [key for key in self._keys.values() if key.algorithm == algorithm]
        return fitting[0] if len(fitting) == 1 else None

    def holds(self, key: Key) -> bool:
        """Whether a key that was found is still published."""
        return self._keys.get((key.kid, key.algorithm)) is key

    async def renewed(self) -> None:
        """Returns when the keys were asked for since. Raises StoreAway."""
        if self.trouble:  # whether that is over finds `watch`, not each request
            raise StoreAway(self.trouble)
        if self._waiting >= WAITING:
            raise StoreAway("too many tokens of unknown keys at once")
        self._waiting += 1
        try:
            await self._asked()
        finally:
            self._waiting -= 1
        if self.trouble:
            raise StoreAway(self.trouble)

    async def watch(self) -> None:
        while True:
            await asyncio.sleep(self._every)
            if self.trouble or self._clock() >= self._asked_at + FRESH:
                await self._asked()

    async def aclose(self) -> None:
        """Whoever waits is cancelled."""
        if self._asking is not None:
            self._asking.cancel()
            await asyncio.wait([self._asking])

    async def refresh(self) -> None:
        """Ask the issuer. Never raises."""
        began = self._clock()
        try:
            fresh = read(await self._source.fetch(), self._algorithms)
        except StoreAway as away:
            self._tell(away.reason)
        except ValueError as unusable:
            self._tell(str(unusable))
        else:
            # Those that have not changed stay the same objects: what was checked with them holds on.
            self._keys = {name: was if (was := self._keys.get(name)) == key else key for name, key in fresh.items()}
            self._trusted_until = began + self._grace
            self._tell("")
        self._asked_at = self._clock()

    async def _asked(self) -> None:
        if self._asking is None:
            self._asking = asyncio.create_task(self._ask())
        await asyncio.shield(self._asking)  # shared by all who wait, so not cancelled with one of them

    async def _ask(self) -> None:
        try:
            await asyncio.sleep(self._asked_at + self._every - self._clock())
            await self.refresh()
        finally:
            self._asking = None

    def _tell(self, reason: str) -> None:
        trouble = reason and f"tokens: the issuer's keys can't be had ({reason})"
        if trouble and trouble != self.trouble:
            _logger.warning("issuer keys not current", extra={"reason": reason, "grace_s": self._grace})
        elif self.trouble and not trouble:
            _logger.info("issuer keys current", extra={"keys": len(self._keys)})
        self.trouble = trouble
