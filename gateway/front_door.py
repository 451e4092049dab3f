"""uvicorn's HTTP protocol class for us: hot paths go straight into the pipeline at the headers, the rest to FastAPI.

A hot request never becomes an ASGI scope. uvicorn keeps listening, TLS, signals and the lifespan; timers are the
sweeper's. Pinned to one uvicorn version: `tests/architecture` says when a method overridden here disappears.
"""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import httptools
from uvicorn.protocols.http.httptools_impl import RequestResponseCycle

from engines.api import Kind
from engines.sweeper import NEVER
from gateway import errors, head
from gateway.cold import ColdExit
from gateway.exchange import Exchange
from gateway.http_wire import HttpWire
from gateway.intake import FIRST_PORTION, Intake
from gateway.turns import Turns

HOT: dict[bytes, Kind] = {
    b"/v1/chat/completions": "chat",
    b"/v1/completions": "completion",
    b"/v1/embeddings": "embedding",
}


class FrontDoor(Turns):
    """Reads one client connection: what its packets mean, and where each request goes."""

    __slots__ = ()

    def data_received(self, data: bytes) -> None:
        if self._deaf:
            return
        self._fruitful = False
        self._arrived += len(data)
        try:
            self.parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._decline_upgrade(data[upgrade.args[0] :])
            return
        except httptools.HttpParserError:
            self._refuse(errors.MALFORMED_HTTP)
        if self._fruitful:
            self._fruitless = 0
            self._arrived = len(data)
        else:  # a head, chunk extensions or trailers without an end
            self._fruitless += len(data)
            if self._fruitless > self.edge.bounds.head and not self._deaf:
                self._refuse(errors.HEAD_TOO_LARGE)

    # The parser's callbacks

    def on_message_begin(self) -> None:
        self.url = b""
        self.headers = []
        self._in_head = True
        if not self._active and not self._deaf:
            self.due = self.edge.sweeper.soon(self.edge.bounds.head_time)

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._in_head:  # else a trailer, which nobody reads
            self.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._reading = None
        self._cold_reading = False
        if self._deaf:
            return
        fields, url, bounds = self.headers, self.url, self.edge.bounds
        headers = dict(fields)
        version = self._version(headers)
        problem = head.judge(url, fields, headers, version, bounds, self._arrived)
        if problem is None and self._waiting and len(self._waiting) >= bounds.pipelined:
            problem = errors.PIPELINE_FULL
        if problem is not None:
            self._refuse(problem)
            return
        if b"upgrade" in headers and self.parser.should_upgrade():
            return  # what follows shows in `data_received`
        kind = HOT.get(url) or HOT.get(self._path(headers))
        method = self.parser.get_method()
        if kind is not None and method == b"POST":
            self._go_hot(kind, headers, http10=version == "1.0")
        elif method == b"CONNECT":
            self._refuse(errors.MALFORMED_HTTP)
        else:
            self._go_cold(headers)

    def on_body(self, body: bytes) -> None:
        self._fruitful = True
        if self._reading is not None:
            self._reading.intake.feed(body)
        elif self._cold_reading and not self._deaf:
            if len(self.cycle.body) + len(body) > FIRST_PORTION:
                self._refuse(errors.BODY_TOO_LARGE)
            else:
                super().on_body(body)

    def on_message_complete(self) -> None:
        self._fruitful = True
        if self._reading is not None:
            self._reading.intake.end()
            self._reading = None
        elif self._cold_reading:
            self._cold_reading = False
            super().on_message_complete()

    def _version(self, headers: dict[bytes, bytes]) -> str:
        """Of HTTP."""
        # The parser spells the number, at the cost of all else that is asked of it. What stays unasked is HTTP/1.1.
        if b"connection" not in headers and self.parser.should_keep_alive():
            return "1.1"
        return self.parser.get_http_version()

    def _path(self, headers: dict[bytes, bytes]) -> bytes:
        """Of any spelling of the target; one with an authority of its own overrules the Host header."""
        self.url, authority = head.origin_form(self.url)
        if authority is not None:
            headers[b"host"] = authority
        return head.path(self.url)

    def _decline_upgrade(self, rest: bytes) -> None:
        """Stay with HTTP/1.1, as a server may.

        The parser takes all behind such a head, the request's body even, for the other protocol: so a new one gets the
        head without that wish.
        """
        if self._deaf:
            return
        fields = [(name, value) for name, value in self.headers if name != b"upgrade"]
        lines = [b"%b %b HTTP/%b" % (self.parser.get_method(), self.url, self.parser.get_http_version().encode())]
        lines += [b"%b: %b" % field for field in fields]
        self.parser = httptools.HttpRequestParser(self)
        self.parser.set_dangerous_leniencies(lenient_data_after_close=True)
        self.data_received(b"\r\n".join(lines) + b"\r\n\r\n" + rest)

    # Hot requests

    def _go_hot(self, kind: Kind, headers: dict[bytes, bytes], *, http10: bool) -> None:
        edge = self.edge
        wire = HttpWire(self, keep=self.parser.should_keep_alive(), http10=http10)
        intake = Intake(self, edge.memory, edge.bounds.body, expects=b"expect" in headers and not http10)
        length = headers.get(b"content-length")
        if length is not None:
            intake.expect(int(length))
        exchange = self._reading = Exchange(edge, kind, headers, wire, intake)
        self._exchanges.append(exchange)
        if self._active or self.flow.write_paused:
            self._waiting.append(partial(self._run, exchange))
        else:
            self._active = True
            self.due = NEVER
            self._run(exchange)

    def _run(self, exchange: Exchange) -> None:
        # As `create_task`, but for the name, which it would have to count up and spell.
        exchange.task = asyncio.Task(self.edge.serve(exchange), loop=self.loop, name=exchange.record.id)

    # What an intake may ask of the connection that its body comes from

    def pause_reading(self) -> None:
        exchange = self._reading
        if exchange is not None and exchange.task is None:
            # To pause now would be not to see the client leave while the requests before are served.
            exchange.intake.crowd_out()
        else:
            self.flow.pause_reading()

    def resume_reading(self) -> None:
        self.flow.resume_reading()

    def send_continue(self) -> None:
        self.transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    # Everything else: FastAPI, by the superclass

    def _go_cold(self, headers: dict[bytes, bytes]) -> None:
        if int(headers.get(b"content-length", b"0")) > FIRST_PORTION:
            self._refuse(errors.BODY_TOO_LARGE)
            return
        url, fields = self.url, self.headers
        super().on_message_begin()  # makes the scope that a hot request does without
        self.url = url
        for name, value in fields:
            super().on_header(name, headers[b"host"] if name == b"host" else value)
        self._cold_reading = True
        self.cycle = None  # type: ignore[assignment]  # uvicorn must not queue it: it would stop reading
        super().on_headers_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:
        self._cycles.append(cycle)
        cycle.transport = ColdExit(cycle, self.transport)
        if self.expect_100_continue or b"transfer-encoding" in dict(cycle.scope["headers"]):
            cycle.keep_alive = False  # if no one reads the body, how much of it comes is not known
        self._enqueue(partial(self._run_cold, cycle, app))

    def _run_cold(self, cycle: RequestResponseCycle, app: Any) -> None:
        self.due = self.edge.sweeper.soon(self.edge.bounds.body_time)
        if self.edge.traffic.draining:
            cycle.keep_alive = False
        super()._start_asgi_task(cycle, app)
