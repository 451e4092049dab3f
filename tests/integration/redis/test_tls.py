"""Sentinels and the master that they name are asked over TLS; who shows a stranger's certificate is no Sentinel."""

from __future__ import annotations

import ssl
from pathlib import Path

from loadtests.quotas.sentinel import MASTER, running_sentinel, sentinel_url
from tests.support import certificates
from tests.support.limiting import gateway
from tests.support.relay import relaying
from tests.support.valkey import ValkeyServer

SHOWN = Path(certificates.__file__).with_name("localhost.pem")
UNREACHED = [f"sentinel down-after-milliseconds {MASTER} 600000"]
"""A Sentinel itself speaks no TLS here, so it never reaches the master that it names."""


async def test_sentinels_and_the_master_are_asked_over_tls(valkey: ValkeyServer, tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_bytes(certificates.localhost().certificate)
    (tmp_path / "other.pem").write_bytes(certificates.client().certificate)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(SHOWN)
    async with relaying(valkey.port, tls=tls) as store:
        with running_sentinel(store.port, UNREACHED) as sentinel:
            async with relaying(sentinel.port, tls=tls) as asked:
                url = sentinel_url([asked.port]).replace("redis+", "rediss+")
                async with gateway(f"{url}?ssl_ca_certs={tmp_path / 'ca.pem'}", [1000.0]) as stand:
                    quota = stand.quota(stand.bucket("tpm", 1000))
                    await stand.use(quota, 400, 300)
                    assert await stand.remaining(quota) == [700]
                    with valkey.client() as client:
                        assert client.get(quota.buckets[0].key)
                async with gateway(f"{url}?ssl_ca_certs={tmp_path / 'other.pem'}", [1000.0]) as stand:
                    assert "(MasterNotFoundError)" in stand.limiter.trouble
