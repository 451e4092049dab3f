"""An identity of the mesh beside what requests show themselves: a key or a token goes first, for it says more."""

from __future__ import annotations

from security.api import Authenticator, Headers, Principal
from security.keys import key_id
from security.mesh import VOUCHED, MeshAuthenticator


class BesideMesh:
    """An Authenticator of two: `shown` for what has the form of a key or a token, and for who has no such identity.

    So a key that has ended stays refused, and what clients send because they must send something does no harm.
    """

    def __init__(self, shown: Authenticator, mesh: MeshAuthenticator) -> None:
        self.shown = shown
        self.mesh = mesh

    def __repr__(self) -> str:
        return f"<BesideMesh {self.shown!r}, {self.mesh!r}>"

    @property
    def trouble(self) -> str:
        return self.shown.trouble

    @property
    def able(self) -> bool:
        return self.shown.able or self.mesh.able

    def recall(self, headers: Headers) -> Principal | None:
        return self._for(headers).recall(headers)

    async def learn(self, headers: Headers) -> Principal:
        return await self._for(headers).learn(headers)

    def _for(self, headers: Headers) -> Authenticator:
        if VOUCHED not in headers:
            return self.shown
        sent = headers.get(b"authorization", b"").split(b" ")[-1]
        return self.shown if sent.count(b".") == 2 or key_id(sent) else self.mesh  # noqa: PLR2004  # parts of a token

    async def start(self) -> None:
        await self.shown.start()

    async def watch(self) -> None:
        await self.shown.watch()

    async def aclose(self) -> None:
        await self.shown.aclose()
