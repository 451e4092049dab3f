"""The FastAPI application: where routes are declared and documented, and what is not hot is answered."""

from __future__ import annotations

import logging

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import errors, head
from gateway.edge import Edge, own_headers
from gateway.lifespan import Lifespan
from gateway.logs import describe
from gateway.routes import openai
from gateway.version import VERSION
from gateway.wiring import Gateway
from router.api import NoSuchModel
from security.api import Forbidden, StoreAway, Unauthenticated

_logger = logging.getLogger("snowshed")


def create_app(gateway: Gateway) -> FastAPI:
    """The application over a gateway's objects; its lifespan starts and stops them."""
    app = FastAPI(
        title="Snowshed",
        version=VERSION,
        summary="An OpenAI-compatible gateway in front of LLM servers.",
        redirect_slashes=False,
        exception_handlers={HTTPException: _known, RequestValidationError: _invalid, **dict.fromkeys(_TOLD, _told)},
    )
    app.include_router(openai.routes(gateway.edge, gateway.auth, gateway.catalog))
    app.openapi()["components"] = {"schemas": openai.components()}  # FastAPI keeps the document it has once made
    app.add_middleware(EdgeHeaders, edge=gateway.edge)
    app.add_middleware(Lifespan, gateway=gateway)
    return app


def _respond(problem: errors.Problem, headers: dict[str, str] | None = None) -> Response:
    response = Response(problem.envelope, problem.status, headers)
    for line in problem.lines.decode().splitlines():
        name, value = line.split(": ", 1)
        response.headers[name] = value
    if problem.close:
        response.headers["connection"] = "close"
    return response


async def _known(_: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)  # registered for nothing else
    allowed = {name: value for name, value in (error.headers or {}).items() if name.lower() == "allow"}
    return _respond(errors.for_status(error.status_code), allowed)


async def _invalid(_: Request, error: Exception) -> Response:
    assert isinstance(error, RequestValidationError)  # registered for nothing else
    place = error.errors()[0]["loc"][1:]  # without "query", "path", …; what was given there is not repeated
    return _respond(errors.INVALID_PARAMETER.but(param=".".join(map(str, place)) or None))


async def _told(_: Request, error: Exception) -> Response:
    return _respond(errors.problem(error))


_TOLD = (Unauthenticated, Forbidden, StoreAway, NoSuchModel)
"""What other rooms raise in endpoints, told as everywhere."""


class EdgeHeaders:
    """A plain ASGI wrapper: judges heads as the front door does, gives every answer its request id, hides crashes."""

    def __init__(self, app: ASGIApp, edge: Edge) -> None:
        self._app = app
        self._edge = edge

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = self._edge.ids.next()
        headers = {name.lower(): value for name, value in scope["headers"]}
        added = [tuple(line.split(b": ", 1)) for line in own_headers(request_id).splitlines()]
        if b"upgrade" in headers:  # a server may have taken the body for the other protocol: nothing may follow
            added.append((b"connection", b"close"))
        started = False

        async def send_with_more(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                given = {name for name, _ in message["headers"]}
                fields = [field for field in added if field[0] not in given]
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        problem = self._judge(scope, headers)
        if problem is not None:
            await _respond(problem)(scope, receive, send_with_more)
            return
        try:
            await self._app(scope, receive, send_with_more)
        except Exception as error:
            if started:
                raise  # the server cuts what has begun
            said = {"request": request_id, "exception": describe(error)}
            _logger.error("request broke", extra=said)  # noqa: TRY400  # texts may hold content
            await _respond(errors.INTERNAL)(scope, receive, send_with_more)

    def _judge(self, scope: Scope, headers: dict[bytes, bytes]) -> errors.Problem | None:
        url = scope.get("raw_path", b"") + scope["query_string"]
        problem = head.judge(url, scope["headers"], headers, scope["http_version"], self._edge.bounds)
        if scope["method"] == "CONNECT":
            return errors.MALFORMED_HTTP
        hosts = self._edge.hosts
        if problem is None and hosts is not None and not hosts.admits(headers.get(b"host")):
            return errors.UNKNOWN_HOST
        return problem
