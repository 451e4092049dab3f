"""The baseline of every ratio: a reverse proxy as one asyncio.Protocol on uvloop, without protection of any kind.

It does the least that a proxy in Python can: find the end of the head, parse the JSON once, relay bytes both ways over
pooled connections. No timeouts, no limits, no validation: never put it in front of anything but a benchmark.

    python -m loadtests.bench.raw PORT UPSTREAM_HOST UPSTREAM_PORT
"""

from __future__ import annotations

import asyncio
import sys
from typing import cast

import msgspec
import uvloop

HEAD_END = b"\r\n\r\n"
LAST_CHUNK = b"0\r\n\r\n"
REQUEST = (
    b"POST /v1/chat/completions HTTP/1.1\r\nHost: upstream\r\n"
    b"Content-Type: application/json\r\nContent-Length: %d\r\n\r\n"
)


def content_length(head: bytes) -> int:
    """The length that a head in lower case announces; 0 if none."""
    at = head.find(b"content-length:")
    return int(head[at + 15 :].split(b"\r\n", 1)[0]) if at >= 0 else 0


class Upstream(asyncio.Protocol):
    """A connection to the model server: relays one answer at a time to `client`, then returns to the idle list."""

    __slots__ = ("chunked", "client", "head", "idle", "left", "tail", "transport")
    transport: asyncio.Transport
    chunked: bool
    left: int  # bytes of a body of known length
    tail: bytes  # the newest five bytes of a chunked one
    head: bytes | None  # what came of the head; None once it is whole

    def __init__(self, idle: list[Upstream]) -> None:
        self.idle = idle
        self.client: Client | None = None

    def __repr__(self) -> str:
        return f"<Upstream {'idle' if self.client is None else 'relaying'}>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def ask(self, client: Client, request: bytes) -> None:
        self.client = client
        self.head = b""
        self.transport.write(request)

    def data_received(self, data: bytes) -> None:
        client = self.client
        if client is None:
            self.transport.close()
            return
        client.transport.write(data)
        if self.head is not None:
            if not self.take_head(data):
                return
        elif self.chunked:
            self.tail = data[-5:] if len(data) >= len(LAST_CHUNK) else (self.tail + data)[-5:]
        else:
            self.left -= len(data)
        if self.tail == LAST_CHUNK if self.chunked else self.left <= 0:
            self.client = None
            self.idle.append(self)
            client.answered()

    def take_head(self, data: bytes) -> bool:
        """Learn how the answer ends; False if its head is not whole yet."""
        received = (self.head or b"") + data
        end = received.find(HEAD_END)
        self.head = None if end >= 0 else received
        if end < 0:
            return False
        head = received[:end].lower()
        self.chunked = b"transfer-encoding: chunked" in head
        if self.chunked:
            self.tail = received[-5:]
        else:
            self.left = content_length(head) - (len(received) - end - 4)
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        if self in self.idle:
            self.idle.remove(self)
        if self.client is not None:
            self.client.transport.close()


class Client(asyncio.Protocol):
    """A connection from a client: one request at a time, sent on as soon as it is whole."""

    __slots__ = ("address", "idle", "received", "transport", "upstream", "waiting")
    transport: asyncio.Transport

    def __init__(self, address: tuple[str, int], idle: list[Upstream]) -> None:
        self.address = address
        self.idle = idle
        self.received = b""
        self.upstream: Upstream | None = None
        self.waiting = False

    def __repr__(self) -> str:
        return f"<Client {'waiting' if self.waiting else 'idle'}, {len(self.received)} bytes received>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast("asyncio.Transport", transport)

    def data_received(self, data: bytes) -> None:
        self.received = self.received + data if self.received else data
        if not self.waiting:
            self.take_request()

    def take_request(self) -> None:
        received = self.received
        end = received.find(HEAD_END)
        if end < 0:
            return
        length = content_length(received[:end].lower())
        body_at = end + 4
        if len(received) < body_at + length:
            return
        body = received[body_at : body_at + length]
        self.received = received[body_at + length :]
        self.waiting = True
        msgspec.json.decode(body)
        request = REQUEST % length + body
        if self.idle:
            self.send(self.idle.pop(), request)
        else:
            asyncio.get_running_loop().create_task(self.connect(request))

    async def connect(self, request: bytes) -> None:
        loop = asyncio.get_running_loop()
        _, upstream = await loop.create_connection(lambda: Upstream(self.idle), *self.address)
        self.send(upstream, request)

    def send(self, upstream: Upstream, request: bytes) -> None:
        if self.transport.is_closing():
            self.idle.append(upstream)
            return
        self.upstream = upstream
        upstream.ask(self, request)

    def answered(self) -> None:
        self.upstream = None
        self.waiting = False
        if self.received:
            self.take_request()

    def pause_writing(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.pause_reading()

    def resume_writing(self) -> None:
        if self.upstream is not None:
            self.upstream.transport.resume_reading()

    def connection_lost(self, exc: Exception | None) -> None:
        if self.upstream is not None:
            self.upstream.client = None
            self.upstream.transport.close()
            self.upstream = None


async def serve(port: int, address: tuple[str, int]) -> None:
    """Relay from 127.0.0.1:`port` to `address` until cancelled."""
    idle: list[Upstream] = []
    loop = asyncio.get_running_loop()
    server = await loop.create_server(lambda: Client(address, idle), "127.0.0.1", port, backlog=4096)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1]), (sys.argv[2], int(sys.argv[3]))))
