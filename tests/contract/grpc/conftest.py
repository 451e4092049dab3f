"""Channels of each transport in turn, closed when the test ends."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Protocol

import pytest
import pytest_asyncio

from engines.grpc.api import Channel
from engines.grpc.tls import Tls
from tests.support.grpc_transports import TRANSPORTS
from tests.support.waiting import PATIENCE


class Connect(Protocol):
    def __call__(
        self,
        port: int,
        *,
        host: str = "127.0.0.1",
        tls: Tls | None = None,
        connections: int = 1,
        max_message: int = 16 * 1024 * 1024,
        connect_timeout: float = PATIENCE,
    ) -> Channel: ...


@pytest_asyncio.fixture(params=sorted(TRANSPORTS))
async def connect(request: pytest.FixtureRequest) -> AsyncIterator[Connect]:
    channels: list[Channel] = []

    def connect(
        port: int,
        *,
        host: str = "127.0.0.1",
        tls: Tls | None = None,
        connections: int = 1,
        max_message: int = 16 * 1024 * 1024,
        connect_timeout: float = PATIENCE,
    ) -> Channel:
        channel = TRANSPORTS[request.param](
            f"{host}:{port}",
            tls=tls,
            connections=connections,
            max_message=max_message,
            connect_timeout=connect_timeout,
        )
        channels.append(channel)
        return channel

    yield connect
    for channel in channels:
        await channel.aclose()
