"""The admin listener: opens when there is a key for it, on the loop of everything else, and stays open."""

from __future__ import annotations

import asyncio
import logging
import ssl
from collections.abc import Iterator

import uvicorn
from starlette.types import ASGIApp
from uvicorn.server import ServerState

from gateway.admin.guard import Guard
from gateway.admin.protocol import LOGGER, AdminProtocol
from gateway.admin.tls import HANDSHAKE
from gateway.config.admin import Admin
from gateway.exposition import family
from gateway.store.bounded import BoundedRegistry
from security.api import StoreAway

_logger = logging.getLogger("snowshed")

POLL = 2.0
"""Seconds between two looks for a first key, or for a port that is free."""
LARGEST_HEAD = 64 * 1024
"""Bytes kept of a head that does not end; what can be read is judged by the public listener's bounds."""
GRACE = 5.0
"""Seconds for answers under way when the gateway stops: each takes less, unless its database is away."""


class AdminListener:
    """`registry` and `guard` are closed with it. `tls` None: plain HTTP."""

    def __init__(
        self, app: ASGIApp, options: Admin, registry: BoundedRegistry, guard: Guard, tls: ssl.SSLContext | None
    ) -> None:
        self._options = options
        self._registry = registry
        self._guard = guard
        self._tls = tls
        self._config = uvicorn.Config(
            app, http=AdminProtocol, ws="none", lifespan="off", log_config=None, access_log=False, proxy_headers=False,
            h11_max_incomplete_event_size=LARGEST_HEAD,
        )  # fmt: skip
        self._config.load()
        LOGGER.setLevel(logging.ERROR)  # its warnings are about what clients send, as often as they like
        self._state = ServerState()
        self._server: asyncio.Server | None = None
        self._trouble = ""

    def __repr__(self) -> str:
        state = f"on {self.port}, {len(self._state.connections)} connections" if self._server else "closed"
        return f"<AdminListener {state}{self._trouble and f'; {self._trouble}'}>"

    @property
    def port(self) -> int | None:
        """The one that was bound; None while it is closed."""
        port: int | None = self._server.sockets[0].getsockname()[1] if self._server else None
        return port

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        text = "Whether the admin listener is open."
        yield from family("gauge", "snowshed_admin_open", text, [("", 0 if self._server is None else 1)])
        yield from self._guard.lines()

    async def watch(self) -> None:
        """Returns once it is open."""
        while not await self._try_to_open():  # noqa: ASYNC110  # a database tells nobody
            await asyncio.sleep(POLL)

    async def _try_to_open(self) -> bool:
        try:
            if not await self._registry.has_ruler():
                return False
            await self._open()
        except StoreAway:
            return False  # who checks keys says so
        except OSError as error:
            self._tell(error.strerror or type(error).__name__)
            return False
        self._tell("")
        return True

    async def _open(self) -> None:
        """Raises OSError."""
        options, loop = self._options, asyncio.get_running_loop()
        self._server = await loop.create_server(
            lambda: AdminProtocol(self._config, self._state, {}, loop), options.host, options.port, ssl=self._tls,
            ssl_handshake_timeout=HANDSHAKE if self._tls else None,
        )  # fmt: skip
        _logger.info("admin listener open", extra={"host": options.host, "port": self.port})

    def _tell(self, trouble: str) -> None:
        if trouble and trouble != self._trouble:
            address = {"host": self._options.host, "port": self._options.port}
            _logger.warning("admin listener not open", extra={"reason": trouble, **address})
        self._trouble = trouble

    async def aclose(self) -> None:
        """Answers under way get a while to end."""
        if self._server is not None:
            self._server.close()
            for connection in list(self._state.connections):
                connection.shutdown()
            if self._state.tasks:
                await asyncio.wait(self._state.tasks, timeout=GRACE)
            for task in list(self._state.tasks):
                task.cancel()
            for connection in list(self._state.connections):
                connection.transport.abort()
        self._guard.close()
        await self._registry.aclose()
