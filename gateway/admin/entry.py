"""The way in, around the application: who asks, whether they may, and a body that is JSON, small and here."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway import errors
from gateway.admin import roles
from gateway.asgi_edge import respond
from gateway.preamble import check
from gateway.store.records import Actor
from security.api import Authenticator, Forbidden, Principal, StoreAway, Unauthenticated

LARGEST_BODY = 64 * 1024
BODY_TIME = 10.0
"""Seconds for a body to arrive."""


@dataclass(slots=True, frozen=True)
class Visitor:
    """Who is in, with a role, and where they ask from."""

    principal: Principal
    address: str

    @property
    def actor(self) -> Actor:
        """Under which name the audit trail knows them."""
        return Actor(self.principal.key_id, self.address)


class Entry:
    """A plain ASGI wrapper. What is inside finds the Visitor in its request's state, and the body at once."""

    def __init__(self, app: ASGIApp, auth: Authenticator) -> None:
        self._app = app
        self._auth = auth

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        try:
            await self._visitor(scope)
            body = await _body(scope, receive)
            visitor = await self._visitor(scope)  # whose key may have ended while the body came
        except (Unauthenticated, Forbidden, StoreAway, errors.Refusal) as error:
            await respond(errors.problem(error))(scope, receive, send)
            return
        scope["state"] = {**scope.get("state", {}), "visitor": visitor}
        await self._app(scope, _given(body, receive), send)

    async def _visitor(self, scope: Scope) -> Visitor:
        """Raises Unauthenticated, Forbidden or StoreAway; nobody without a role learns what there is."""
        headers = dict(scope["headers"])
        principal = self._auth.recall(headers) or await self._auth.learn(headers)
        roles.require(principal.scopes, roles.for_method(scope["method"]))
        return Visitor(principal, scope["client"][0])


async def _body(scope: Scope, receive: Receive) -> bytes:
    """All of it. Raises Refusal."""
    headers = dict(scope["headers"])
    length = headers.get(b"content-length", b"0")
    if length == b"0" and b"transfer-encoding" not in headers:
        return b""
    check(headers, None)
    if int(length) > LARGEST_BODY:
        raise errors.Refusal(errors.BODY_TOO_LARGE)
    body = bytearray()
    try:
        async with asyncio.timeout(BODY_TIME):
            more = True
            while more:
                message = await receive()
                if message["type"] == "http.disconnect":
                    raise errors.Refusal(errors.BODY_CUT)
                body += message.get("body", b"")
                more = message.get("more_body", False)
                if len(body) > LARGEST_BODY:
                    raise errors.Refusal(errors.BODY_TOO_LARGE)
    except TimeoutError:
        raise errors.Refusal(errors.SLOW_BODY) from None
    return bytes(body)


def _given(body: bytes, receive: Receive) -> Receive:
    """As if the body came now; what comes after it, such as the client's leaving, comes as it does."""
    left: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def receive_given() -> Message:
        return left.pop() if left else await receive()

    return receive_given
