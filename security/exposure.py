"""What an open server, one without authentication, may be reached by: this machine, under names that mean it."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable

LOOPBACK_NAMES = ("localhost", "127.0.0.1", "[::1]")


def is_loopback(host: str) -> bool:
    """Whether listening on `host` admits this machine alone."""
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host.strip("[]")).is_loopback
    except ValueError:
        return False


class HostCheck:
    """Admits requests by their Host header: a web page that made its own name point here (DNS rebinding) is refused."""

    def __init__(self, names: Iterable[str]) -> None:
        self._names = frozenset(name.lower().encode() for name in names)
        self._admitted: bytes | None = None  # the last one: it is mostly the next one, too

    def __repr__(self) -> str:
        return f"<HostCheck {len(self._names)} names>"

    def admits(self, header: bytes | None) -> bool:
        """Whether a Host header (`name` or `name:port`) is one of ours."""
        if header is None:
            return False
        if header == self._admitted:
            return True
        name, colon, port = header.lower().rpartition(b":")
        if not colon or not port.isdigit():
            name = header.lower()
        if name not in self._names:
            return False
        self._admitted = header
        return True
