"""An authenticator of tokens over an issuer in memory, with clocks to turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import msgspec
import pytest

from security.api import Principal, StoreAway, Unauthenticated
from security.jwt.api import ClaimNames, Reason, Terms
from security.jwt.authenticator import JwtAuthenticator
from security.jwt.issuer_keys import EVERY, IssuerKeys
from tests.support.key_door import GRACE, START, Clock
from tests.support.signing import AUDIENCE, ISSUER, SigningKey, claims

ALGORITHMS = ("RS256", "PS256", "ES256", "EdDSA")
TERMS = Terms(ISSUER, (AUDIENCE, "other"), 30.0, {}, "", frozenset({"inference"}), ClaimNames("sub", tenant="org"))


class Publisher:
    """A KeySource in memory; `away` makes it fail, `gate` makes it wait, `document` is published in place of `keys`."""

    def __init__(self, *keys: SigningKey) -> None:
        self.keys = list(keys)
        self.document: bytes | None = None
        self.away = False
        self.gate: asyncio.Event | None = None
        self.asked = 0

    async def fetch(self) -> bytes:
        self.asked += 1
        if self.gate is not None:
            await self.gate.wait()
        if self.away:
            raise StoreAway("Gone")
        return self.document or msgspec.json.encode({"keys": [key.jwk() for key in self.keys]})


class TokenDoor:
    """`terms` change what a token must say."""

    def __init__(self, *keys: SigningKey, every: float = EVERY, **terms: Any) -> None:
        self.clock, self.wall = Clock(1000.0), Clock(START)
        self.publisher = Publisher(*(keys or (SigningKey(),)))
        self.keys = IssuerKeys(self.publisher, ALGORITHMS, GRACE, self.clock, every)
        self.checks = JwtAuthenticator(self.keys, replace(TERMS, **terms), self.clock, self.wall)

    def pass_time(self, seconds: float) -> None:
        self.clock.now += seconds
        self.wall.now += seconds

    def token(self, **others: Any) -> str:
        """Signed with the first key."""
        return self.publisher.keys[0].sign(claims(self.wall.now, **others))

    async def ask(self, token: str | bytes) -> Principal:
        shown = token.encode() if isinstance(token, str) else token
        headers = {b"authorization": b"Bearer " + shown}
        return self.checks.recall(headers) or await self.checks.learn(headers)

    @contextmanager
    def refuses(self, reason: Reason) -> Iterator[None]:
        """What is asked inside is refused, and counted as refused for this reason."""
        before = self.checks.refusals.copy()
        with pytest.raises(Unauthenticated) as refused:
            yield
        assert refused.value.sent
        assert self.checks.refusals - before == {reason: 1}
