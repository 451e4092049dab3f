"""A question is one trip to the store, and two where the script has to be loaded: a store may be far away."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from urllib.parse import urlsplit

from tests.support.limiting import LimiterStand, shared
from tests.support.valkey import ValkeyServer


class Road:
    """To the store; `trips` counts how often it is asked something after it has answered."""

    def __init__(self) -> None:
        self.trips = 0
        self._answered = True

    async def carry(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, *, asks: bool) -> None:
        while some := await reader.read(65536):
            self.trips += asks and self._answered
            self._answered = not asks
            writer.write(some)
        writer.close()


@asynccontextmanager
async def road_to(server: ValkeyServer) -> AsyncIterator[tuple[Road, str]]:
    road, store = Road(), urlsplit(server.url)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection(store.hostname, store.port)
        await asyncio.gather(
            road.carry(reader, behind_writer, asks=True), road.carry(behind_reader, writer, asks=False)
        )

    async with await asyncio.start_server(connected, "127.0.0.1", 0) as listening:
        yield road, f"redis://127.0.0.1:{listening.sockets[0].getsockname()[1]}"


async def test_a_script_is_loaded_on_the_way(valkey: ValkeyServer) -> None:
    async with road_to(valkey) as (road, url):
        limiter = shared(url, [1000.0])
        stand = LimiterStand(limiter, "acme", [1000.0])
        quota = stand.quota(stand.bucket("tpm", 1000))
        await stand.use(quota, 100, 100)
        before = road.trips
        await stand.use(quota, 100, 100)
        assert road.trips == before + 1
        with valkey.client() as client:
            client.script_flush()
        assert await stand.remaining(quota) == [800]
        assert road.trips == before + 3
        await limiter.aclose()
