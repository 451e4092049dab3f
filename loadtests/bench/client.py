"""One keep-alive connection of a load generator: asks, collects the answer, tells its subclass.

As cheap as Python allows, because the generator shares a core with the simulated upstream: one protocol object, one
parser in C, no task or future per request.
"""

from __future__ import annotations

import asyncio
import http.client
from time import perf_counter
from typing import cast

from httptools import HttpParserError, HttpResponseParser


class Connection(asyncio.Protocol):
    """Subclasses override `answered` and `lost`. `pieces` is the answer's body as it came, without chunk framing."""

    transport: asyncio.Transport

    def __init__(self) -> None:
        self.parser = HttpResponseParser(self)
        self.pieces: list[bytes] = []
        self.asked_at = 0.0
        self.busy = False

    def __repr__(self) -> str:
        return f"<{type(self).__name__} {'waiting' if self.busy else 'idle'}, {len(self.pieces)} pieces>"

    def answered(self, status: int) -> None:
        """The whole answer is in `pieces`."""

    def lost(self) -> None:
        """The connection ended before the answer did."""

    def ask(self, request: bytes) -> None:
        self.pieces = []
        self.busy = True
        self.asked_at = perf_counter()
        self.transport.write(request)

    def leave(self) -> None:
        """Close at once, as a client that has lost interest does; `lost` is not called."""
        self.busy = False
        self.transport.abort()

    @property
    def open(self) -> bool:
        return not self.transport.is_closing()

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        try:
            self.parser.feed_data(data)
        except HttpParserError:
            self.transport.abort()

    def on_body(self, data: bytes) -> None:
        self.pieces.append(data)

    def on_message_complete(self) -> None:
        status = self.parser.get_status_code()
        if status < http.client.OK:  # an interim response
            return
        if not self.parser.should_keep_alive():
            self.transport.close()
        self.busy = False
        self.answered(status)

    def connection_lost(self, exc: Exception | None) -> None:
        if self.busy:
            self.busy = False
            self.lost()
