"""The front door of a gateway in a service mesh: of who asks, it believes trusted proxies and nobody else."""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.config import Config
from uvicorn.server import ServerState

from gateway.front_door import FrontDoor
from security.mesh import VOUCHED, Peers


class MeshDoor(FrontDoor):
    """Nothing behind it sees the header of `peers`: from those who are trusted it goes on under a name of our own."""

    __slots__ = ("_peers", "_trusted")

    def __init__(
        self, peers: Peers, config: Config, server_state: ServerState, app_state: dict[str, Any],
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:  # fmt: skip
        super().__init__(config, server_state, app_state, _loop)
        self._peers = peers
        self._trusted = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._trusted = self.client is not None and self._peers.trust(self.client[0])

    def on_headers_complete(self) -> None:
        said = [value for name, value in self.headers if name == self._peers.header]
        if said:
            self.headers = [field for field in self.headers if field[0] != self._peers.header]
            if self._trusted:
                self.headers.append((VOUCHED, b",".join(said)))
            else:
                self._peers.ignored += 1
        super().on_headers_complete()

    def _decline_upgrade(self, rest: bytes) -> None:
        """The head is read once more, as it came."""
        self.headers = [(self._peers.header if name == VOUCHED else name, value) for name, value in self.headers]
        super()._decline_upgrade(rest)
