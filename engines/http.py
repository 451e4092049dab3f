"""Pooled HTTP/1.1 connections to one model server: newest idle one first, bounded, nothing lost on cancel."""

from __future__ import annotations

import asyncio
import ssl
from collections import deque
from collections.abc import Mapping
from urllib.parse import urlsplit

from engines.api import Failed, Overloaded, Surroundings, TimedOut, Unreachable
from engines.connection import LANDING, Connection

IDLE_SECONDS = 4.0
"""Servers close idle connections after 5 s and more (uvicorn: 5); letting go first avoids most lost races."""
MAX_ANSWER = 64 * 1024 * 1024
"""Bytes of a unary answer."""


class Pool:
    """Connections to `url` (scheme, host, port; a path is kept as `base`). At most `connections` at a time."""

    def __init__(self, url: str, surroundings: Surroundings, *, connections: int) -> None:
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            msg = f"not an http(s) URL: {url!r}"
            raise ValueError(msg)
        self._tls = ssl.create_default_context() if parts.scheme == "https" else None
        self._host = parts.hostname
        self._port = parts.port or (443 if self._tls else 80)
        self.base = parts.path.rstrip("/")
        self.authority = parts.netloc.rpartition("@")[2].encode()
        self._sweeper = surroundings.sweeper
        self._timers = surroundings.timers
        self._limit = connections
        self._idle: deque[Connection] = deque()
        self._open: set[Connection] = set()
        self._landing = memoryview(bytearray(LANDING))
        self._connecting = 0
        self._closed = False

    def __repr__(self) -> str:
        busy = len(self._open) - len(self._idle)
        return f"<Pool {self.authority.decode()} [{busy} busy, {len(self._idle)} idle, {self._connecting} connecting]>"

    async def request(self, request: bytes) -> Connection:
        """Send a whole request; the connection comes back with the response's head. The caller must `release` it.

        A *reused* connection that closes before any byte of a response has lost a race with the server's idle timer,
        so the request was not handled: it is sent again, on another one.
        """
        while True:
            connection = self._take_idle() or await self._connect()
            try:
                connection.send(request)
                while connection.state == "head":
                    await connection.more()
                connection.check()
            except Unreachable:
                if not connection.reused:
                    raise
            except BaseException:
                connection.abort()
                raise
            else:
                return connection

    async def fetch(
        self, method: str, path: str, body: bytes = b"", headers: Mapping[str, str] | None = None
    ) -> tuple[int, bytes]:
        """One small control request under the pool's base path: status and whole body. Raises EngineError."""
        lines = [
            f"{method} {self.base}{path} HTTP/1.1",
            f"host: {self.authority.decode()}",
            "accept-encoding: identity",
        ]
        lines += [f"{name}: {value}" for name, value in (headers or {}).items()]
        lines += [f"content-length: {len(body)}", "", ""]
        connection = await self.request("\r\n".join(lines).encode() + body)
        try:
            return connection.status, await read_all(connection)
        finally:
            connection.release()

    async def aclose(self) -> None:
        self._closed = True
        for connection in tuple(self._open):
            connection.abort()

    def _take_idle(self) -> Connection | None:
        while self._idle:
            connection = self._idle.pop()
            if connection.state == "idle":
                return connection
        return None

    async def _connect(self) -> Connection:
        if self._closed:
            raise Unreachable("The gateway has closed its connections to the model server.")
        if len(self._open) + self._connecting >= self._limit:
            raise Overloaded("All connections to the model server are in use.", retry_after=1.0)
        connection = Connection(self._sweeper, self._timers, self._on_free, self._on_lost, self._landing)
        self._connecting += 1
        try:
            async with asyncio.timeout(self._timers.connect):
                await asyncio.get_running_loop().create_connection(
                    lambda: connection, self._host, self._port, ssl=self._tls
                )
        except TimeoutError:
            connection.abort()
            raise TimedOut("connect", self._timers.connect) from None
        except OSError:
            raise Unreachable("The model server can't be reached.") from None
        except BaseException:
            connection.abort()
            raise
        finally:
            self._connecting -= 1
        self._open.add(connection)
        self._sweeper.add(connection)
        return connection

    def _on_free(self, connection: Connection) -> None:
        if self._closed:
            connection.abort()
            return
        connection.rest_until(self._sweeper.soon(IDLE_SECONDS))
        self._idle.append(connection)

    def _on_lost(self, connection: Connection) -> None:
        self._open.discard(connection)
        self._sweeper.discard(connection)
        if connection in self._idle:
            self._idle.remove(connection)


async def read_all(connection: Connection, bound: int = MAX_ANSWER) -> bytes:
    """The whole body of a unary response, of at most `bound` bytes."""
    parts = []
    size = 0
    while data := await connection.read():
        parts.append(data)
        size += len(data)
        if size > bound:
            raise Failed("The model server's answer is too large.")
    return b"".join(parts)
