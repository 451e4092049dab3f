"""Keys of our own and tokens of an issuer, side by side: what is shown says by its form which of them it is."""

from __future__ import annotations

import asyncio

from security.api import Authenticator, Headers, Principal


class SideBySide:
    """An Authenticator of two: what has the three parts of a token goes to `tokens`, all else to `keys`."""

    def __init__(self, keys: Authenticator, tokens: Authenticator) -> None:
        self.keys = keys
        self.tokens = tokens

    def __repr__(self) -> str:
        return f"<SideBySide {self.keys!r}, {self.tokens!r}>"

    @property
    def trouble(self) -> str:
        return "; ".join(filter(None, (self.keys.trouble, self.tokens.trouble)))

    @property
    def able(self) -> bool:
        return self.keys.able or self.tokens.able

    def recall(self, headers: Headers) -> Principal | None:
        return self._for(headers).recall(headers)

    async def learn(self, headers: Headers) -> Principal:
        return await self._for(headers).learn(headers)

    def _for(self, headers: Headers) -> Authenticator:
        dots = headers.get(b"authorization", b"").count(b".")
        return self.tokens if dots == 2 else self.keys  # noqa: PLR2004  # header.claims.signature

    async def start(self) -> None:
        await self.keys.start()
        await self.tokens.start()

    async def watch(self) -> None:
        async with asyncio.TaskGroup() as both:
            both.create_task(self.keys.watch())
            both.create_task(self.tokens.watch())

    async def aclose(self) -> None:
        await self.keys.aclose()
        await self.tokens.aclose()
