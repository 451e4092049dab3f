"""The FastAPI application: where routes are declared and documented, and what is not hot is answered."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from fastapi import FastAPI, Request
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import errors
from gateway.edge import Edge
from gateway.routes import openai
from gateway.version import VERSION
from gateway.wiring import Gateway


def create_app(gateway: Gateway) -> FastAPI:
    """The application over a gateway's objects; its lifespan starts and stops them."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[dict[str, Any]]:
        async with gateway.running():
            yield {"edge": gateway.edge}  # uvicorn hands this to the front door

    app = FastAPI(
        title="Snowshed",
        version=VERSION,
        summary="An OpenAI-compatible gateway in front of LLM servers.",
        lifespan=lifespan,
        redirect_slashes=False,
        exception_handlers={HTTPException: _known, Exception: _unknown},
    )
    app.include_router(openai.routes(gateway.edge, gateway.catalog))
    app.add_middleware(EdgeHeaders, edge=gateway.edge)
    return app


def _respond(problem: errors.Problem, headers: dict[str, str] | None = None) -> Response:
    response = Response(problem.envelope(), problem.status, headers)
    for name, value in problem.headers():
        response.headers[name.decode()] = value.decode()
    return response


async def _known(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _respond(errors.for_status(error.status_code), allowed)


async def _unknown(_: Request, _error: Exception) -> Response:
    return _respond(errors.INTERNAL)


class EdgeHeaders:
    """A plain ASGI wrapper: checks the host and gives every answer outside the pipeline its request id."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self._app = app
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._edge.ids.next().encode()

        async def send_with_id(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = message["headers"]
                if not any(name == b"x-request-id" for name, _ in headers):
                    message = {**message, "headers": [*headers, (b"x-request-id", request_id)]}
            await send(message)

        hosts = self._edge.hosts
        named = next((value for name, value in scope["headers"] if name == b"host"), None)
        if hosts is not None and not hosts.admits(named):
            await _respond(errors.UNKNOWN_HOST)(scope, receive, send_with_id)
        else:
            await self._app(scope, receive, send_with_id)
