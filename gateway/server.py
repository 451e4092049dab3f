"""uvicorn's server with our way of stopping: withdraw, keep serving a while, finish or cut streams, exit 0."""

from __future__ import annotations

import asyncio
import logging
import signal
import socket
import threading
from collections.abc import Callable
from functools import partial
from types import FrameType

import uvicorn

from gateway import compiled
from gateway.app import create_app
from gateway.authentication import mesh_peers
from gateway.front_door import FrontDoor
from gateway.lifespan import why
from gateway.mesh_door import MeshDoor
from gateway.version import VERSION
from gateway.welcome import welcome
from gateway.wiring import Gateway

_logger = logging.getLogger("snowshed")

POLL = 0.05


class Server(uvicorn.Server):
    """Stops in stages at SIGTERM or SIGINT; a second SIGINT ends it now.

    Readiness says no at once; new requests are still served for `drain_delay`, then refused; streams may go on until
    `drain_cap`, then each gets an error event. At SIGHUP the configuration is read again.
    """

    def __init__(self, gateway: Gateway, say: Callable[[str], None] = lambda _: None) -> None:
        server, peers = gateway.config.server, mesh_peers(gateway.auth)
        super().__init__(
            uvicorn.Config(
                create_app(gateway),
                host=server.host,
                port=server.port,
                http=partial(MeshDoor, peers) if peers else FrontDoor,  # type: ignore[arg-type]  # called all the same
                loop="uvloop",
                ws="none",
                lifespan="on",
                log_config=None,
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=5,
            )
        )
        self._gateway = gateway
        self._say = say
        gateway.readiness.listening = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        """Raises SystemExit with status 1, the reason logged, if the address or an engine can't be had."""
        if threading.current_thread() is threading.main_thread():  # signals come to no other
            asyncio.get_running_loop().add_signal_handler(signal.SIGHUP, self._gateway.reloading.ask)
        _logger.info(
            "starting",
            extra={"version": VERSION, "form": compiled.form(), "models": len(self._gateway.config.models)},
        )
        try:
            await self._try_address()
            await super().startup(sockets)
        except OSError as error:
            _logger.error("gateway did not start", extra={"reason": why(error)})  # noqa: TRY400  # no place says more
            raise SystemExit(1) from None
        except SystemExit:  # by uvicorn, which has said why
            raise SystemExit(1) from None
        gateway = self._gateway
        gateway.readiness.listening = True
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        ops = {"ops_host": gateway.config.ops.host, "ops_port": gateway.ops.port}
        _logger.info("serving", extra={"host": host, "port": port, **ops})
        self._say(welcome(gateway.config, port, gateway.ops.port))

    async def _try_address(self) -> None:
        """Bind and let go again: nothing has to be started, and no model loaded, to find that the port is taken."""
        config = self.config
        loop = asyncio.get_running_loop()
        (await loop.create_server(asyncio.Protocol, config.host, config.port, start_serving=False)).close()

    def handle_exit(self, sig: int, frame: FrameType | None) -> None:
        self._gateway.edge.traffic.draining = True
        if self.should_exit and sig == signal.SIGINT:
            self.force_exit = True
        self.should_exit = True  # not kept for raising again afterwards, as uvicorn would: we exit 0

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        traffic, server = self._gateway.edge.traffic, self._gateway.config.server
        traffic.draining = True
        bounds = {"drain_delay_s": server.drain_delay, "drain_cap_s": server.drain_cap}
        _logger.info("draining", extra={"in_flight": len(traffic.live), **bounds})
        await self._wait(server.drain_delay, lambda: False)
        traffic.closed = True
        await self._wait(server.drain_cap, lambda: not traffic.live)
        if traffic.live:
            _logger.warning("requests cut", extra={"in_flight": len(traffic.live)})
        traffic.cut()
        await self._wait(1.0, lambda: not traffic.live)
        await super().shutdown(sockets)
        _logger.info("stopped")

    async def _wait(self, seconds: float, done: Callable[[], bool]) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + seconds
        while loop.time() < end and not done() and not self.force_exit:  # noqa: ASYNC110  # uvicorn's flag, no event
            await asyncio.sleep(POLL)
