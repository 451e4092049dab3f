"""Sentinels and the master that they name are asked over TLS; who shows a stranger's certificate is no Sentinel."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

from loadtests.quotas.sentinel import MASTER, running_sentinel, sentinel_url
from tests.support import certificates
from tests.support.limiting import gateway
from tests.support.valkey import ValkeyServer

SHOWN = Path(certificates.__file__).with_name("localhost.pem")
UNREACHED = [f"sentinel down-after-milliseconds {MASTER} 600000"]
"""A Sentinel itself speaks no TLS here, so it never reaches the master that it names."""


@asynccontextmanager
async def behind_tls(port: int) -> AsyncIterator[int]:
    """The port of a relay."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(SHOWN)

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        behind_reader, behind_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(carry(reader, behind_writer), carry(behind_reader, writer))

    async def carry(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while some := await reader.read(65536):
            writer.write(some)
        writer.close()

    async with await asyncio.start_server(connected, "127.0.0.1", 0, ssl=context) as listening:
        yield listening.sockets[0].getsockname()[1]


async def test_sentinels_and_the_master_are_asked_over_tls(valkey: ValkeyServer, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(certificates.localhost().certificate)
    (tmp_path / "other.pem").write_bytes(certificates.client().certificate)
    async with behind_tls(valkey.port) as store:
        with running_sentinel(store, UNREACHED) as sentinel:
            async with behind_tls(sentinel.port) as port:
                url = sentinel_url([port]).replace("redis+", "rediss+")
                async with gateway(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}", [1000.0]) as stand:
                    quota = stand.quota(stand.bucket("tpm", 1000))
                    await stand.use(quota, 400, 300)
                    assert not stand.limiter.trouble
                    assert await stand.remaining(quota) == [700]
                    with valkey.client() as client:
                        assert client.get(quota.buckets[0].key)
                async with gateway(f"{url}?ssl_ca_certs={tmp_path / 'other.pem'}", [1000.0]) as stand:
                    assert "(MasterNotFoundError)" in stand.limiter.trouble
