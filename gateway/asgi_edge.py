"""What our ASGI applications have around them: heads judged, ids on answers, errors in one envelope, no crash told."""

from __future__ import annotations

import logging

from starlette.requests import Request
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import errors, head
from gateway.edge import Edge, own_headers
from gateway.logs import describe

_logger = logging.getLogger("snowshed")


def respond(problem: errors.Problem, headers: dict[str, str] | None = None) -> Response:
    """A problem as an answer, with these headers beside its own."""
    response = Response(problem.envelope, problem.status, headers)
    for line in problem.lines.decode().splitlines():
        name, value = line.split(": ", 1)
        response.headers[name] = value
    if problem.close:
        response.headers["connection"] = "close"
    return response


async def told(_: Request, error: Exception) -> Response:
    """An exception handler: what other rooms raise in endpoints is told as everywhere."""
    return respond(errors.problem(error))


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
        last = b"upgrade" in headers  # a server may have taken the body for the other protocol: nothing may follow
        unsure = b"expect" in headers  # whether the body comes, until it is there
        started = False

        async def receive_and_look() -> Message:
            nonlocal unsure
            message = await receive()
            unsure = unsure and (message["type"] != "http.request" or message.get("more_body", False))
            return message

        async def send_with_more(message: Message) -> None:
            nonlocal started
            if message["type"] == "http.response.start":
                started = True
                if last or unsure:
                    added.append((b"connection", b"close"))
                given = {name for name, _ in message["headers"]}
                fields = [field for field in added if field[0] not in given]
                message = {**message, "headers": [*message["headers"], *fields]}
            await send(message)

        problem = self._judge(scope, headers)
        if problem is not None:
            await respond(problem)(scope, receive, send_with_more)
            return
        try:
            await self._app(scope, receive_and_look, send_with_more)
        except Exception as error:
            if started:
                raise  # the server cuts what has begun
            said = {"request": request_id, "exception": describe(error)}
            _logger.error("request broke", extra=said)  # noqa: TRY400  # texts may hold content
            await respond(errors.INTERNAL)(scope, receive, send_with_more)

    def _judge(self, scope: Scope, headers: dict[bytes, bytes]) -> errors.Problem | None:
        url = scope.get("raw_path", b"") + scope["query_string"]
        problem = head.judge(url, scope["headers"], headers, scope["http_version"], self._edge.bounds)
        if scope["method"] == "CONNECT":
            return errors.MALFORMED_HTTP
        hosts = self._edge.hosts
        if problem is None and hosts is not None and not hosts.admits(headers.get(b"host")):
            return errors.UNKNOWN_HOST
        return problem
