"""Checks tokens from memory; one that was not met before by its issuer's keys, without asking anybody.

A token is good until it ends, unless the key that has signed it is taken back: then it is checked anew, and refused.
Nothing else takes it back earlier, so issuers make them short-lived.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass

from security.api import Headers, Principal, StoreAway, Unauthenticated
from security.bearer import bearer
from security.jwt.api import BadToken, Reason, Terms
from security.jwt.claims import judge
from security.jwt.issuer_keys import IssuerKeys
from security.jwt.jwks import Key
from security.jwt.token import Header, header, verify
from security.jwt.turns import Turns
from security.keys import digest
from security.room import make_room

REFUSED_FOR = 5.0
"""Seconds for which a token that is not good is refused without being checked again."""
KNOWN, REFUSED = 20_000, 10_000
"""Most tokens kept in memory, by their digests; the oldest go first."""


@dataclass(slots=True, frozen=True)
class _Known:
    principal: Principal
    ends: float
    key: Key


class JwtAuthenticator:
    """An Authenticator by the keys of an issuer. `clock` is monotonic, `wall` Unix time."""

    def __init__(self, keys: IssuerKeys, terms: Terms, clock: Callable[[], float], wall: Callable[[], float]) -> None:
        self._keys = keys
        self._terms = terms
        self._clock = clock
        self._wall = wall
        self._known: dict[bytes, _Known] = {}
        self._refused: dict[bytes, float] = {}
        self._turns = Turns(clock)
        self.refusals: Counter[Reason] = Counter()
        """Tokens that were not good, by the reason; one that is shown again soon counts once."""

    def __repr__(self) -> str:
        return f"<JwtAuthenticator {len(self._known)} known, {len(self._refused)} refused; {self._keys!r}>"

    @property
    def trouble(self) -> str:
        return self._keys.trouble

    @property
    def able(self) -> bool:
        return self._keys.able

    def recall(self, headers: Headers) -> Principal | None:
        return self._remembered(digest(bearer(headers)))

    async def learn(self, headers: Headers) -> Principal:
        token = bearer(headers)
        hashed = digest(token)
        try:
            says = header(token)
            if not self._keys.accepts(says.alg):
                raise BadToken("algorithm")
            if self._keys.able and self._keys.find(says.kid, says.alg) is None:
                await self._keys.renewed()
            with await self._turns.take():
                return self._remembered(hashed) or self._check(token, hashed, says)
        except BadToken as bad:
            self.refusals[bad.reason] += 1
            make_room(self._refused, REFUSED)
            self._refused[hashed] = self._clock() + REFUSED_FOR
            raise Unauthenticated(sent=True) from None

    def _remembered(self, hashed: bytes) -> Principal | None:
        """Raises Unauthenticated or StoreAway."""
        known = self._known.get(hashed)
        if known is None:
            if self._refused.get(hashed, 0.0) > self._clock():
                raise Unauthenticated(sent=True)
            return None
        if not self._keys.able:
            raise StoreAway(self._keys.trouble)
        if self._wall() >= known.ends:
            raise Unauthenticated(sent=True)
        return known.principal if self._keys.holds(known.key) else None

    def _check(self, token: bytes, hashed: bytes, says: Header) -> Principal:
        """Raises BadToken or StoreAway."""
        if not self._keys.able:
            raise StoreAway(self._keys.trouble)
        key = self._keys.find(says.kid, says.alg)
        if key is None:
            raise BadToken("key")
        principal, ends = judge(verify(token, key, self._terms), self._terms, self._wall())
        make_room(self._known, KNOWN)
        self._known[hashed] = _Known(principal, ends, key)
        return principal

    async def start(self) -> None:
        await self._keys.refresh()

    async def watch(self) -> None:
        await self._keys.watch()

    async def aclose(self) -> None:
        await self._keys.aclose()
