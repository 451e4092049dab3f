"""The admin listener's HTTP: uvicorn's protocol on h11, with an end to every wait and our own words for nonsense."""

from __future__ import annotations

import asyncio
import logging

import h11
from uvicorn.protocols.http.h11_impl import H11Protocol

from gateway import errors

LOGGER = logging.getLogger("uvicorn.error.admin")

CONNECTIONS = 64
TURN = 30.0
"""Seconds for a request, from the connection or the answer before it to the end of its own answer."""

UNREAD = 256 * 1024
"""Bytes of a body that may come when its request is answered already, so that who sends them gets to read that."""


class AdminProtocol(H11Protocol):
    """One connection. Those who run a gateway are few, so there are few, and none of them may wait for ever."""

    _turn: asyncio.TimerHandle | None = None
    _unread = 0  # bytes that came after the last answer, of the body that it did not wait for

    def __repr__(self) -> str:
        return f"<AdminProtocol {self.conn.our_state}>"

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as its base does
        super().connection_made(transport)
        self.logger = LOGGER
        self._begin_turn()
        if len(self.connections) > CONNECTIONS:
            self._refuse(errors.CROWDED)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._turn is not None:
            self._turn.cancel()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self.conn.our_state is h11.DONE:  # but the client is not
            self._unread += len(data)
            if self._unread > UNREAD:
                self.transport.abort()
                return
        super().data_received(data)

    def on_response_complete(self) -> None:
        self._begin_turn()
        self._unread = 0
        super().on_response_complete()

    def shutdown(self) -> None:
        """What is under way may end, and is the last."""
        if self.cycle is None or self.cycle.response_complete:  # type: ignore[redundant-expr]  # None before the first
            self.transport.close()
        else:
            self.cycle.keep_alive = False

    def send_400_response(self, msg: str) -> None:
        """In OpenAI's envelope; not into an answer that has begun."""
        if self.conn.our_state in {h11.IDLE, h11.SEND_RESPONSE}:
            self._refuse(errors.MALFORMED_HTTP)
        else:
            self.transport.close()

    def _begin_turn(self) -> None:
        if self._turn is not None:
            self._turn.cancel()
        self._turn = self.loop.call_later(TURN, self.transport.abort)

    def _refuse(self, problem: errors.Problem) -> None:
        """Past h11, which may be in a state in which it would not say anything any more."""
        head = b"HTTP/1.1 %d \r\n%bconnection: close\r\ncontent-length: %d\r\n\r\n"
        self.transport.write(head % (problem.status, problem.lines, len(problem.envelope)) + problem.envelope)
        self.transport.close()
