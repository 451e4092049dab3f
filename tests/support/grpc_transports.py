"""The gRPC transports, which all keep one contract, and what a call over any of them told."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Protocol

from engines.grpc.aio import AioChannel
from engines.grpc.api import Channel, Code, Rpc, RpcError
from engines.grpc.http2.channel import Http2Channel
from engines.grpc.tls import Tls
from tests.support.waiting import PATIENCE


class Transport(Protocol):
    """How each transport's channel is made."""

    def __call__(
        self, target: str, *, tls: Tls | None, connections: int, max_message: int, connect_timeout: float
    ) -> Channel: ...


TRANSPORTS: dict[str, Transport] = {"aio": AioChannel, "http2": Http2Channel}


@dataclass(frozen=True, slots=True)
class Story:
    """Everything that reading a call to its end told."""

    messages: list[bytes]
    code: Code
    details: str = ""


async def story(rpc: Rpc, patience: float = PATIENCE) -> Story:
    """Read to the end, within `patience` seconds."""
    messages: list[bytes] = []
    async with asyncio.timeout(patience):
        try:
            while (message := await rpc.read()) is not None:
                messages.append(message)
        except RpcError as error:
            return Story(messages, error.code, error.details)
    return Story(messages, Code.OK)


async def code(rpc: Rpc, patience: float = PATIENCE) -> Code:
    return (await story(rpc, patience)).code


async def first(rpc: Rpc, patience: float = PATIENCE) -> bytes:
    """The next message, which must come."""
    async with asyncio.timeout(patience):
        message = await rpc.read()
    assert message is not None
    return message
