"""ASGI's lifespan for a gateway: starts its objects, or says in a sentence why they can't be had, and stops them."""

from __future__ import annotations

import asyncio
import errno
import logging
from contextlib import suppress

from starlette.types import ASGIApp, Receive, Scope, Send

from engines.api import EngineError
from gateway.wiring import Gateway
from security.api import StoreAway

_logger = logging.getLogger("snowshed")


class Lifespan:
    """A plain ASGI wrapper in place of FastAPI's lifespan, which would tell the server a traceback."""

    def __init__(self, app: ASGIApp, gateway: Gateway) -> None:
        self._app = app
        self._gateway = gateway

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "lifespan":
            await self._app(scope, receive, send)
            return
        started = False
        await receive()
        try:
            async with self._gateway.running():
                scope["state"]["edge"] = self._gateway.edge  # uvicorn hands this to the front door
                started = True
                await send({"type": "lifespan.startup.complete"})
                with suppress(asyncio.CancelledError):  # by the loop's end after a second Ctrl-C: also a stop
                    await receive()
        except* (EngineError, OSError, StoreAway) as failed:
            if started:
                raise
            _logger.error("gateway did not start", extra={"reason": why(failed)})  # noqa: TRY400  # no place says more
            await send({"type": "lifespan.startup.failed"})
        else:
            await send({"type": "lifespan.shutdown.complete"})


def why(failure: BaseException) -> str:
    """What kept the gateway from starting, for people."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    reason = failure.strerror if isinstance(failure, OSError) else str(failure)
    if isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE:
        reason = f"{reason}; server.port and ops.port, or SNOWSHED_SERVER__PORT and SNOWSHED_OPS__PORT, choose others"
    return str(reason)
