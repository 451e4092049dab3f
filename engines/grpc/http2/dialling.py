"""Makes a connection: name, socket, TLS with HTTP/2, and the server's SETTINGS."""

from __future__ import annotations

import asyncio
import socket
import ssl
import tempfile
from collections.abc import Callable
from pathlib import Path

from engines.grpc.http2.connection import Connection
from engines.grpc.tls import Tls

SILENCE = 20
"""Seconds after which a server that acknowledges nothing, or no longer says it is there, counts as gone."""


class Dialling:
    """How to reach `target` (host:port). The TLS context is made once, off the event loop: authorities take long."""

    def __init__(self, target: str, tls: Tls | None) -> None:
        host, _, port = target.rpartition(":")
        self._host = host.strip("[]")
        self._port = int(port)
        self._tls = tls
        self._context: ssl.SSLContext | None = None

    def __repr__(self) -> str:
        return f"<Dialling {self._host}:{self._port}{' with TLS' if self._tls else ''}>"

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        """Ready for calls. Raises OSError, ValueError; may be cancelled at any time."""
        loop = asyncio.get_running_loop()
        server_name = None
        if self._tls is not None:
            self._context = self._context or await asyncio.to_thread(context, self._tls)
            server_name = self._tls.server_name or self._host
        transport, connection = await loop.create_connection(
            make, self._host, self._port, ssl=self._context, server_hostname=server_name
        )
        try:
            secured = transport.get_extra_info("ssl_object")
            if secured is not None and secured.selected_alpn_protocol() != "h2":
                raise ConnectionError("the server does not offer HTTP/2")
            _keep_alive(transport.get_extra_info("socket"))
            await connection.opening
            if connection.state == "closed":
                raise ConnectionError(connection.reason.details)
        except BaseException:
            connection.abort()
            raise
        return connection


def context(tls: Tls) -> ssl.SSLContext:
    """Raises OSError or ValueError for what is no certificate or key."""
    made = ssl.create_default_context(cadata=None if tls.ca is None else tls.ca.decode("ascii"))
    made.set_alpn_protocols(["h2"])
    if tls.certificate is not None:
        with tempfile.TemporaryDirectory() as folder:  # only its owner may look inside; `ssl` reads only files
            chain = Path(folder, "chain.pem")
            chain.write_bytes(tls.certificate + b"\n" + (tls.key or b""))
            made.load_cert_chain(chain)
    return made


def _keep_alive(connected: socket.socket) -> None:
    """The kernel asks whether the server is there: PING frames on a quiet connection count as an attack."""
    connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in (
        ("TCP_KEEPIDLE", SILENCE // 2),
        ("TCP_KEEPINTVL", SILENCE // 4),
        ("TCP_KEEPCNT", 2),
        ("TCP_USER_TIMEOUT", SILENCE * 1000),
    ):
        if hasattr(socket, name):  # not everywhere
            connected.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)
