"""The pipeline as a plain ASGI response: for servers other than uvicorn, and to hold the front door to its contract."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Any

from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from engines.api import Kind
from gateway.edge import Edge
from gateway.exchange import Exchange
from gateway.intake import Intake


class PipelineResponse(Response):
    """What an endpoint returns to let the pipeline read the request and answer it."""

    def __init__(self, edge: Edge, kind: Kind) -> None:
        super().__init__()
        self._edge = edge
        self._kind = kind

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        edge = self._edge
        headers = {name.lower(): value for name, value in scope["headers"]}
        inlet = _Inlet(receive)
        intake = Intake(inlet, edge.memory, edge.bounds.body, expects=b"expect" in headers)
        wire = AsgiWire(send, intake)
        length = headers.get(b"content-length", b"")
        if length.isdigit():
            intake.expect(int(length))
        exchange = Exchange(edge, self._kind, headers, wire, intake)
        exchange.task = asyncio.create_task(edge.serve(exchange))
        watcher = asyncio.create_task(inlet.watch(exchange))
        try:
            await wire.over
        finally:
            exchange.task.cancel()
            watcher.cancel()
            await asyncio.gather(exchange.task, watcher, return_exceptions=True)


class AsgiWire:
    """Holds what the exchange writes until the server takes it."""

    def __init__(self, send: Send, intake: Intake) -> None:
        self._intake = intake
        self._messages: deque[Message] = deque()
        self._news = asyncio.Event()
        self._empty = asyncio.Event()
        self._last = False
        self._pump = asyncio.create_task(self._send_on(send))
        self.over = asyncio.gather(self._pump, return_exceptions=True)

    def __repr__(self) -> str:
        return f"<AsgiWire {len(self._messages)} to send{', over' if self._last else ''}>"

    @property
    def paused(self) -> bool:
        """Always: every write waits for the server, whose `send` is the back-pressure."""
        return True

    @property
    def backlog(self) -> int:
        return len(self._messages)

    def open(self, status: int, lines: bytes, length: int | None, *, close: bool = False) -> None:
        if length is not None:
            lines += b"content-length: %d\r\n" % length
        if close or not (self._intake.complete or self._intake.disposable):
            lines += b"connection: close\r\n"
        headers = [tuple(line.split(b": ", 1)) for line in lines.splitlines()]
        self._put({"type": "http.response.start", "status": status, "headers": headers})

    def write(self, data: bytes) -> bool:
        self._put({"type": "http.response.body", "body": data, "more_body": True})
        return False

    async def drain(self) -> None:
        await self._empty.wait()

    def end(self) -> None:
        self._last = True
        self._put({"type": "http.response.body", "body": b"", "more_body": False})

    def abort(self) -> None:
        """ASGI can't cut a connection; to return without the last body makes the server do it."""
        self._pump.cancel()

    async def _send_on(self, send: Send) -> None:
        while not self._last or self._messages:
            await self._news.wait()
            self._news.clear()
            while self._messages:
                await send(self._messages.popleft())
            self._empty.set()

    def _put(self, message: Message) -> None:
        self._messages.append(message)
        self._empty.clear()
        self._news.set()


class _Inlet:
    """Reads `receive`: the body once it is asked for, then the client's leaving."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._asked = asyncio.Event()

    def pause_reading(self) -> None:
        """Nothing to do: the server is only read from when there is a use for it."""

    def resume_reading(self) -> None:
        self._asked.set()

    def send_continue(self) -> None:
        """The server's own `receive` does it."""

    async def watch(self, exchange: Exchange) -> None:
        await self._asked.wait()
        while True:
            message: dict[str, Any] = dict(await self._receive())
            if message["type"] == "http.disconnect":
                break
            if body := message.get("body", b""):
                exchange.intake.feed(body)
            if not message.get("more_body", False) and not exchange.intake.complete:
                exchange.intake.end()
        exchange.abandon()
