"""ASGI's lifespan for a gateway: starts its objects, or says in a sentence why they can't be had, and stops them."""

from __future__ import annotations

import errno

from starlette.types import ASGIApp, Receive, Scope, Send

from engines.api import EngineError
from gateway.wiring import Gateway
from security.api import StoreAway


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
                await receive()
        except* (EngineError, OSError, StoreAway) as failed:
            if started:
                raise
            await send({"type": "lifespan.startup.failed", "message": f"The gateway did not start: {why(failed)}"})
        else:
            await send({"type": "lifespan.shutdown.complete"})


def why(failure: BaseException) -> str:
    """What kept the gateway from starting, for people."""
    while isinstance(failure, BaseExceptionGroup):
        failure = failure.exceptions[0]
    reason = failure.strerror if isinstance(failure, OSError) else str(failure)
    if isinstance(failure, OSError) and failure.errno == errno.EADDRINUSE:
        reason = f"{reason}; server.port and ops.port of the configuration choose others"
    return str(reason)
