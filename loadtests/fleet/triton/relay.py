"""Client connections passed on to the gRPC server, so that they can be refused, broken or left unread like others."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, cast

from loadtests.fleet.accepted import Accepted, reset

if TYPE_CHECKING:
    from loadtests.fleet.listener import Listener


class Relay(Accepted):
    """One connection of a client, byte by byte: gRPC's own server lets nobody at its sockets.

    `relays` holds it under the port from which the server sees it coming.
    """

    def __init__(self, listener: Listener, server_port: int, relays: dict[int, Relay]) -> None:
        self._listener = listener
        self._server_port = server_port
        self._relays = relays
        self._client: asyncio.Transport
        self._server: asyncio.Transport | None = None
        self._joining: asyncio.Task[None]
        self._early: list[bytes] = []
        """What the client said before the server was there."""
        self._deaf = False
        self._port = 0

    def __repr__(self) -> str:
        return f"<Relay to 127.0.0.1:{self._server_port} from {self._port}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._client = cast("asyncio.Transport", transport)
        self._listener.connections.add(self)
        self._joining = asyncio.get_running_loop().create_task(self._join())

    def connection_lost(self, _exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._relays.pop(self._port, None)
        self._joining.cancel()
        if self._server is not None:
            self._server.abort()

    def data_received(self, data: bytes) -> None:
        if self._server is None:
            self._early.append(data)
        else:
            self._server.write(data)

    def pause_writing(self) -> None:
        if self._server is not None:
            self._server.pause_reading()

    def resume_writing(self) -> None:
        if self._server is not None:
            self._server.resume_reading()

    def abandon(self) -> None:
        reset(self._client)

    def waiting(self) -> int:
        return self._client.get_write_buffer_size()

    def stop_reading(self) -> None:
        self._deaf = True
        self._client.pause_reading()

    def listen_again(self) -> None:
        """The server takes what the client says."""
        if not self._deaf:
            self._client.resume_reading()

    async def _join(self) -> None:
        loop = asyncio.get_running_loop()
        try:
            server, _ = await loop.create_connection(
                lambda: _Inside(self._client, self), "127.0.0.1", self._server_port
            )
        except OSError:
            self._client.abort()
            return
        self._port = server.get_extra_info("sockname")[1]
        self._relays[self._port] = self
        self._server = server
        server.writelines(self._early)


class _Inside(asyncio.Protocol):
    """The same connection on the server's side."""

    def __init__(self, client: asyncio.Transport, relay: Relay) -> None:
        self._client = client
        self._relay = relay

    def data_received(self, data: bytes) -> None:
        self._client.write(data)

    def connection_lost(self, _exc: Exception | None) -> None:
        self._client.close()

    def pause_writing(self) -> None:
        self._client.pause_reading()

    def resume_writing(self) -> None:
        self._relay.listen_again()
