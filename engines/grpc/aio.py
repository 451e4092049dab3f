"""Calls over `grpc.aio`: the transport that ours is measured against, and the one to fall back to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from itertools import cycle
from typing import Any
from weakref import WeakSet

from engines.grpc.api import Code, Metadata, RpcError
from engines.grpc.tls import Tls

WINDOW = 65_535
"""Bytes of one stream that are held, or under way, for a reader that does not read; a bigger message still passes."""
KEEPALIVE_MS = 330_000
"""A usual server takes pings that come more often than every five minutes for an attack while it says nothing."""


class AioChannel:
    """`connections` to `target` (host:port), used in turn, made on the loop that runs when the first call is opened.

    `max_message` bytes may come in one message. A connection that was not made within `connect_timeout` seconds, or
    was refused, fails the calls that waited for it; new ones are tried with pauses of up to about a second.
    """

    def __init__(
        self, target: str, *, tls: Tls | None, connections: int, max_message: int, connect_timeout: float
    ) -> None:
        self._target = target
        self._tls = tls
        self._connections = connections
        self._options = _options(tls, max_message, connect_timeout)
        self._channels: list[Any] = []
        self._turns = cycle(self._channels)
        self._calls: WeakSet[AioRpc] = WeakSet()
        self._closed = False

    def __repr__(self) -> str:
        state = "closed" if self._closed else f"{sum(not rpc.over() for rpc in self._calls)} calls"
        return f"<AioChannel {self._target} [{len(self._channels)}/{self._connections} connections, {state}]>"

    def open(self, method: str, message: bytes, *, timeout: float | None = None, metadata: Metadata = ()) -> AioRpc:
        if self._closed:
            return AioRpc(None, (Code.UNAVAILABLE, CLOSED))
        if timeout is not None and timeout <= 0:  # which grpc rounds up, to as long as a quick answer takes
            return AioRpc(None, (Code.DEADLINE_EXCEEDED, "no time left"))
        if not self._channels:
            self._channels.extend(self._connection() for _ in range(self._connections))
        # One message and the end of the request side travel together; on the wire a unary call looks the same.
        start = next(self._turns).unary_stream(method)
        rpc = AioRpc(start(message, timeout=timeout, metadata=tuple(metadata)))
        self._calls.add(rpc)
        return rpc

    async def aclose(self) -> None:
        self._closed = True
        for rpc in list(self._calls):
            rpc.end(Code.UNAVAILABLE, CLOSED)
        for channel in self._channels:
            await channel.close()

    def _connection(self) -> Any:
        import grpc.aio

        if self._tls is None:
            return grpc.aio.insecure_channel(self._target, options=self._options)
        credentials = grpc.ssl_channel_credentials(self._tls.ca, self._tls.key, self._tls.certificate)
        return grpc.aio.secure_channel(self._target, credentials, options=self._options)


class AioRpc:
    """One call of an `AioChannel`, or the `end` of one that was never made. A cancelled read ends the call."""

    __slots__ = ("__weakref__", "_call", "_end")

    def __init__(self, call: Any, end: tuple[Code, str] | None = None) -> None:
        self._call = call
        self._end = end

    def __repr__(self) -> str:
        return f"<AioRpc {self._end[0].name if self._end else 'under way'}>"

    async def read(self) -> bytes | None:
        messages: list[bytes] = []
        await self.flow(messages.append)  # which is content with the first
        if messages:
            return messages[0]
        if self._end and self._end[0]:
            raise RpcError(*self._end)
        return None

    async def flow(self, into: Callable[[bytes], bool | None]) -> None:
        try:
            while not self.over():
                message = await self._call.read()
                if self.over() or not isinstance(message, bytes):
                    self._settle(Code.OK, "")
                elif not into(message):
                    return
        except asyncio.CancelledError:
            # It is how grpc.aio tells a reader that the call was cancelled, too: only the task itself knows.
            task = asyncio.current_task()
            if not self.over() or (task is not None and task.cancelling()):
                self.cancel()
                raise
        except Exception as error:  # noqa: BLE001 - sorted in one place, which raises again what is not grpc's
            self._settle(*_told_by(error))

    def cancel(self) -> None:
        self.end(Code.CANCELLED, "cancelled by us")

    def end(self, code: Code, details: str) -> None:
        """From now on reading tells this, unless it has told an end before; the server is told to stop."""
        if self._end is None:
            self._end = (code, details)
            self._call.cancel()

    def over(self) -> bool:
        """Whether nothing more is to be read; the object may live on until its garbage is collected."""
        return self._end is not None

    def _settle(self, code: Code, details: str) -> None:
        if self._end is None:
            self._end = (code, details)


CLOSED = "the channel was closed"


def _told_by(error: Exception) -> tuple[Code, str]:
    import grpc.aio

    if isinstance(error, grpc.aio.AioRpcError):
        return Code(error.code().value[0]), error.details() or ""
    if isinstance(error, grpc.aio.BaseError):
        return Code.INTERNAL, str(error)
    raise error


def _options(tls: Tls | None, max_message: int, connect_timeout: float) -> list[tuple[str, int | str]]:
    options: list[tuple[str, int | str]] = [
        ("grpc.use_local_subchannel_pool", 1),  # else channels to one server share one connection
        ("grpc.enable_http_proxy", 0),  # model servers are no part of the internet
        ("grpc.max_receive_message_length", max_message),
        ("grpc.max_send_message_length", -1),
        ("grpc.max_metadata_size", 64 * 1024),  # servers put tracebacks into details
        ("grpc.http2.lookahead_bytes", WINDOW),
        ("grpc.http2.bdp_probe", 0),  # it lets windows grow to many megabytes a stream
        ("grpc.keepalive_time_ms", KEEPALIVE_MS),
        ("grpc.keepalive_timeout_ms", 20_000),
        ("grpc.min_reconnect_backoff_ms", round(connect_timeout * 1000)),  # is the time that an attempt may take
        ("grpc.initial_reconnect_backoff_ms", 200),
        ("grpc.max_reconnect_backoff_ms", 1000),
        ("grpc.dns_min_time_between_resolutions_ms", 1000),
    ]
    if tls is not None and tls.server_name is not None:
        options.append(("grpc.ssl_target_name_override", tls.server_name))
    return options
