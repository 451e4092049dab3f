"""A client without manners: sends bytes over a plain socket and says what came back, and how it ended."""

from __future__ import annotations

import json
import socket
import time
from types import TracebackType
from typing import Literal, Self
from urllib.parse import urlsplit

from tests.support.waiting import PATIENCE

End = Literal["eof", "reset", "open"]
"""How reading ended: FIN, RST, or it did not within its time."""


def receive(sock: socket.socket, until: float) -> bytes | End:
    """What comes next, or how it ended; `until` on the monotonic clock."""
    if (left := until - time.monotonic()) <= 0:
        return "open"
    sock.settimeout(left)
    try:
        return sock.recv(1 << 16) or "eof"
    except TimeoutError:
        return "open"
    except ConnectionResetError:
        return "reset"


class RawClient:
    """One connection to the server of `url`."""

    def __init__(self, url: str, connect_seconds: float = PATIENCE) -> None:
        where = urlsplit(url)
        self.socket = socket.create_connection((where.hostname, where.port), timeout=connect_seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def __repr__(self) -> str:
        return f"<RawClient {self.socket!r}>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self.socket.close()

    def post(self, body: object, path: str = "/v1/chat/completions", *fields: str) -> None:
        """Send a request with `body` as JSON; `fields` are further header lines."""
        data = json.dumps(body).encode()
        lines = (f"POST {path} HTTP/1.1", "host: test", f"content-length: {len(data)}", *fields)
        self.socket.sendall("\r\n".join(lines).encode() + b"\r\n\r\n" + data)

    def until(self, end: bytes, seconds: float = PATIENCE) -> bytes:
        """All that comes up to and with `end`; `AssertionError` if the connection ends or is silent before."""
        got, how = self._read(seconds, end)
        assert end in got, (how, got)
        return got

    def rest(self, seconds: float = PATIENCE) -> tuple[bytes, End]:
        """All that comes until the server ends the connection, or for so many seconds."""
        return self._read(seconds, None)

    def _read(self, seconds: float, end: bytes | None) -> tuple[bytes, End]:
        got = b""
        deadline = time.monotonic() + seconds
        while end is None or end not in got:
            data = receive(self.socket, deadline)
            if isinstance(data, str):
                return got, data
            got += data
        return got, "open"
