"""A real gRPC server on the test's own loop: what it says is a coroutine of the test, what it saw is kept."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

import grpc
import grpc.aio

from tests.support.certificates import Pair
from tests.support.waiting import PATIENCE

METHOD = "/test.Service/Call"
"""Every method of this service is served alike; other services are not there."""

Behaviour = Callable[[bytes, Any], AsyncIterator[bytes]]
"""From the request and grpc's ServicerContext to the messages of the answer."""


@dataclass(slots=True)
class Seen:
    """One call as the server sees it; `left` is "ended" or "cancelled" once it is over."""

    method: str
    metadata: list[tuple[str, str]]
    request: bytes
    remaining: float | None
    messages: int = 0
    said: int = 0
    left: asyncio.Future[str] = field(default_factory=lambda: asyncio.get_running_loop().create_future())

    async def over(self) -> str:
        async with asyncio.timeout(PATIENCE):
            return await asyncio.shield(self.left)


class Server(grpc.GenericRpcHandler):
    """`arrivals` holds the calls in the order of their coming, for `await server.arrival()`."""

    def __init__(self, behaviour: Behaviour) -> None:
        self._behaviour = behaviour
        self._arrivals: asyncio.Queue[Seen] = asyncio.Queue()
        self.port = 0

    async def arrival(self) -> Seen:
        async with asyncio.timeout(PATIENCE):
            return await self._arrivals.get()

    def arrived(self) -> int:
        """How many calls came that nobody has asked about yet."""
        return self._arrivals.qsize()

    def service(self, details: Any) -> Any:
        if not details.method.startswith("/test.Service/"):
            return None

        async def serve(request: bytes, context: Any) -> AsyncIterator[bytes]:
            metadata = [(key, value) for key, value in details.invocation_metadata]
            seen = Seen(details.method, metadata, request, context.time_remaining())
            self._arrivals.put_nowait(seen)
            left = "ended"
            try:
                async for message in self._behaviour(request, context):
                    yield message
                    seen.messages += 1
                    seen.said += len(message)
            except (asyncio.CancelledError, GeneratorExit):
                left = "cancelled"
                raise
            finally:
                seen.left.set_result(left)

        return grpc.unary_stream_rpc_method_handler(serve)


@asynccontextmanager
async def serving(
    behaviour: Behaviour,
    *,
    port: int = 0,
    tls: Pair | None = None,
    clients: Pair | None = None,
    options: Sequence[tuple[str, int]] = (),
    grace: float | None = None,
) -> AsyncIterator[Server]:
    """Up while the block runs. `tls` identifies the server; with `clients`, callers must present that certificate."""
    limits = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0), *options]
    running = grpc.aio.server(options=limits)
    server = Server(behaviour)
    running.add_generic_rpc_handlers((server,))
    address = f"127.0.0.1:{port}"
    if tls is None:
        server.port = running.add_insecure_port(address)
    else:
        authority = clients.certificate if clients else None
        credentials = grpc.ssl_server_credentials([(tls.key, tls.certificate)], authority, clients is not None)
        server.port = running.add_secure_port(address, credentials)
    await running.start()
    try:
        yield server
    finally:
        await running.stop(grace)


async def echo(request: bytes, context: Any) -> AsyncIterator[bytes]:
    yield request


async def silence(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """Never answers."""
    await asyncio.get_running_loop().create_future()
    yield b""


async def flood(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """The request again and again, as fast as it is taken."""
    while True:
        yield request


def saying(*messages: bytes, code: int = 0, details: str = "") -> Behaviour:
    """These messages, then this status."""

    async def behaviour(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for message in messages:
            yield message
        if code:
            await context.abort(status(code), details)

    return behaviour


async def first_then_silence(request: bytes, context: Any) -> AsyncIterator[bytes]:
    """The request, once, and then nothing."""
    yield request
    await asyncio.get_running_loop().create_future()


def held(go_on: asyncio.Event) -> Behaviour:
    """The request, and `end` once the event has come."""

    async def behaviour(request: bytes, context: Any) -> AsyncIterator[bytes]:
        yield request
        await go_on.wait()
        yield b"end"

    return behaviour


def status(code: int) -> grpc.StatusCode:
    return next(status for status in grpc.StatusCode if status.value[0] == code)
