"""One client connection: reads requests with httptools, hands them to the replica, writes what the scripts say."""

from __future__ import annotations

import asyncio
from http import HTTPStatus
from typing import TYPE_CHECKING, cast

import httptools
import msgspec

from loadtests.fleet import answers, asks, control
from loadtests.fleet.accepted import Accepted, reset
from loadtests.fleet.http_turn import HttpTurn
from loadtests.fleet.settings import Settings, directed, directive_in
from loadtests.fleet.wire import CONTINUE, refusal, response

if TYPE_CHECKING:
    from loadtests.fleet.listener import Listener
    from loadtests.fleet.replica import Replica


class Connection(Accepted):
    """HTTP/1.1 with keep-alive and without pipelining: a second request before the answer aborts the connection.

    `replica` is None on the control port, where only control verbs are answered.
    """

    def __init__(self, listener: Listener, replica: Replica | None, fleet: list[Replica]) -> None:
        self._listener = listener
        self._replica = replica
        self._fleet = fleet
        self._transport: asyncio.Transport
        self._parser = httptools.HttpRequestParser(self)
        self._path = ""
        self._query = ""
        self._headers: list[tuple[bytes, bytes]] = []
        self._body: list[bytes] = []
        self._directive = ""
        self._deaf = False  # whatever comes is thrown away
        self._keep_alive = True
        self.requests = 0
        self.turn: HttpTurn | None = None
        self.congested = False

    def __repr__(self) -> str:
        return f"<Connection {self.requests} requests, {self.turn!r}>"

    # What asyncio calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        self._listener.connections.add(self)
        if self._replica is not None and self._replica.settings.fault == "half_open":
            self.stop_reading()

    def connection_lost(self, _exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        if self.turn is not None:
            self.turn.drop("cancelled")

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self.write(refusal(400, b"connection: close"))
            self.close()

    def pause_writing(self) -> None:
        self.congested = True

    def resume_writing(self) -> None:
        self.congested = False
        if self.turn is not None:
            self.turn.resume()

    # What httptools calls.

    def on_message_begin(self) -> None:
        self._headers = []
        self._body = []
        self._directive = ""

    def on_url(self, url: bytes) -> None:
        path, _, self._query = url.decode("latin-1").partition("?")
        self._path = path

    def on_header(self, name: bytes, value: bytes) -> None:
        name = name.lower()
        self._headers.append((name, value))
        if name == b"x-fleet":
            self._directive = value.decode("latin-1")
        elif name == b"expect":
            self.write(CONTINUE)

    def on_headers_complete(self) -> None:
        self._keep_alive = self._parser.should_keep_alive()
        replica = self._replica
        if replica is None or self._path not in asks.KINDS:
            return
        try:
            settings = directed(replica.settings, self._directive) if self._directive else replica.settings
        except msgspec.ValidationError:
            return  # said when the body is there
        if settings.fault == "early_response":
            call = replica.calls.open(self._path, self._headers, b"")
            call.fault = settings.fault
            replica.calls.close(call, "fault")
            self.refuse_early(settings)

    def on_body(self, body: bytes) -> None:
        self._body.append(body)

    def on_message_complete(self) -> None:
        if self._deaf:
            return
        if self.turn is not None:
            self.abandon()
            return
        self.requests += 1
        if self._parser.get_method() == b"POST" and self._path in asks.KINDS and self._replica is not None:
            self._begin(self._replica, self._body[0] if len(self._body) == 1 else b"".join(self._body))
        else:
            self._tell()

    def abandon(self) -> None:
        if self.turn is not None:
            self.turn.drop("fault")
        self.reset()

    # What scripts call.

    def write(self, data: bytes) -> None:
        if data:
            self._transport.write(data)

    def close(self) -> None:
        self._transport.close()

    def reset(self) -> None:
        """Close with RST, at once."""
        reset(self._transport)

    def stop_reading(self) -> None:
        self._deaf = True
        self._transport.pause_reading()

    def refuse_early(self, settings: Settings) -> None:
        """A 4xx and the end, whatever else the client sends; closing at once could reset what it has to read."""
        self._deaf = True
        self.write(refusal(settings.status if settings.status in range(400, 500) else 413, b"connection: close"))
        self._transport.write_eof()

    def answered(self, settings: Settings) -> None:
        """The answer is written."""
        if not self._keep_alive or settings.fault == "close_idle":
            self.close()

    def waiting(self) -> int:
        return self._transport.get_write_buffer_size()

    # Requests.

    def _begin(self, replica: Replica, body: bytes) -> None:
        call = replica.calls.open(self._path, self._headers, body)
        kind = asks.KINDS[self._path]
        try:
            directive = self._directive or directive_in(body)
            settings = directed(replica.settings, directive) if directive else replica.settings
            turn = HttpTurn(self, replica, call, settings)
            turn.ask = asks.read(body)
            turn.plan = answers.plan(turn.ask, kind, settings, call.number)
        except msgspec.DecodeError as nonsense:
            call.fault = str(nonsense)
            replica.calls.close(call, "fault")
            self.write(response(400, answers.error(str(nonsense), "invalid_request_error", None)))
            self.answered(replica.settings)
            return
        call.model = turn.ask.model
        call.stream = bool(turn.ask.stream)
        call.fault = settings.fault
        call.prompt_tokens = turn.plan.prompt_tokens
        self.turn = turn
        replica.enter(turn)

    def _tell(self) -> None:
        """Everything that is not a call to the model."""
        replica = self._replica
        if self._path in {"/health", "/v1/models"} and replica is not None:
            self._tell_health(replica)
            return
        method = self._parser.get_method().decode()
        status, answer = control.obey(
            self._fleet, replica, control.Order(method, self._path, self._query, b"".join(self._body))
        )
        self.write(response(status, answer))
        if not self._keep_alive:
            self.close()

    def _tell_health(self, replica: Replica) -> None:
        settings = replica.settings
        if settings.health == 0:
            return
        if settings.health != HTTPStatus.OK:
            self.write(refusal(settings.health))
        elif self._path == "/health":
            self.write(response(200, b'{"status":"ok"}'))
        else:
            self.write(response(200, answers.models(settings.upstream_model or "mock")))
        if not self._keep_alive:
            self.close()
