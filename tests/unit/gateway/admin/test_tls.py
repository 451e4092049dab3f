"""Who shows no certificate, or another authority's, is not let in; files that can't be used are told by their name."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from gateway.admin.tls import server_context
from tests.support.certificates import Pair, client, localhost


@pytest.fixture
def files(tmp_path: Path) -> dict[str, Path]:
    pair = localhost()
    contents = {"certificate": pair.certificate, "key": pair.key, "clients": client().certificate}
    for name, content in contents.items():
        (tmp_path / name).write_bytes(content)
    return {name: tmp_path / name for name in contents}


def showing(pair: Pair | None, folder: Path) -> ssl.SSLContext:
    context = ssl.create_default_context(cadata=localhost().certificate.decode())
    if pair:
        shown = folder / "shown.pem"
        shown.write_bytes(pair.key + pair.certificate)
        context.load_cert_chain(shown)
    return context


@asynccontextmanager
async def serving(context: ssl.SSLContext) -> AsyncIterator[int]:
    """A port that greets whoever is let in."""

    async def greet(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        writer.write(b"welcome")
        writer.close()

    async with await asyncio.start_server(greet, "127.0.0.1", 0, ssl=context) as server:
        yield server.sockets[0].getsockname()[1]


async def greeted(port: int, context: ssl.SSLContext) -> bytes:
    """What is heard; with TLS 1.3 a client learns only afterwards that its certificate will not do."""
    try:
        reader, writer = await asyncio.open_connection("localhost", port, ssl=context)
        try:
            return await reader.read()
        finally:
            writer.transport.abort()
    except (ssl.SSLError, ConnectionError):
        return b""


async def test_who_shows_a_certificate_of_the_authority_is_let_in(files: dict[str, Path], tmp_path: Path) -> None:
    async with serving(server_context(**files)) as port:
        assert await greeted(port, showing(client(), tmp_path)) == b"welcome"


@pytest.mark.parametrize("pair", [None, localhost()], ids=["none", "another's"])
@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3], ids=["1.2", "1.3"])
async def test_nobody_else_is(
    pair: Pair | None, version: ssl.TLSVersion, files: dict[str, Path], tmp_path: Path
) -> None:
    context = showing(pair, tmp_path)
    context.maximum_version = version
    async with serving(server_context(**files)) as port:
        assert await greeted(port, context) == b""


async def test_older_versions_are_not_spoken(files: dict[str, Path], tmp_path: Path) -> None:
    assert server_context(**files).minimum_version is ssl.TLSVersion.TLSv1_2


ENCRYPTED = """\
-----BEGIN ENCRYPTED PRIVATE KEY-----
MIHsMFcGCSqGSIb3DQEFDTBKMCkGCSqGSIb3DQEFDDAcBAhaaIO1UUh4iwICCAAw
DAYIKoZIhvcNAgkFADAdBglghkgBZQMEASoEEKl0VNtN15z/dMZmAkKnJ34EgZBm
PabOnEd+BpA8Ib7TAXz6gGTv9kTp+ZSvP2+28hwR5YsjVtyZ5bRrl6Iny7Joj2Dj
xtuZfLeHWxiBtU1VpLhJ7XM7UjJcGdTMutbLa5NxnZqTLtpPP1hz+/M+tiZwD+Fe
8ZV5lIWFGyPFuZbzqJMIMvm0E04L3a5dwmJMzkfIcpIXD8tLT6cWbEPLSNeW0dc=
-----END ENCRYPTED PRIVATE KEY-----
"""


@pytest.mark.parametrize(
    ("spoiled", "content", "why"),
    [
        ("certificate", None, "No such file"),
        ("certificate", b"no certificate", "certificate"),
        ("key", None, "No such file"),
        ("key", client().key, "key values mismatch"),
        ("key", ENCRYPTED.encode(), "encrypted"),
        ("clients", None, "No such file"),
        ("clients", b"", "clients"),
        ("clients", b"no certificate", "clients"),
    ],
)
def test_a_file_that_cant_be_used_is_told(
    spoiled: str, content: bytes | None, why: str, files: dict[str, Path]
) -> None:
    if content is None:
        files[spoiled].unlink()
    else:
        files[spoiled].write_bytes(content)
    with pytest.raises(ValueError, match=why) as refused:
        server_context(**files)
    assert str(files[spoiled]) in str(refused.value)
