"""Which addresses of pictures a caller may name, and where in the network those may lead: nowhere but where allowed."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from ipaddress import IPv6Address, ip_address, ip_network
from typing import NamedTuple, Self
from urllib.parse import urlsplit

LONGEST = 8192
"""Characters of a URL."""
_PORTS = {"https": 443, "http": 80}
_LABEL = "[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?"
_HOST = re.compile(rf"(?=.{{1,253}}$){_LABEL}(?:\.{_LABEL})*|[0-9a-f.]*:[0-9a-f:.]*")
"""A name, an IPv4 or an IPv6 address, as `urlsplit` gives it."""
_TREACHEROUS = tuple(map(ip_network, (
    "168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24",
    "::/96", "64:ff9b::/96", "64:ff9b:1::/48", "2001::/32", "2002::/16", "fec0::/10",
)))  # fmt: skip
"""Global by their class, but a cloud's own service, or a way round through IPv4 to wherever that leads."""


class Place(NamedTuple):
    """Where a picture is. `target` is path and query; `internal`, whether the host may be one of the operator's own."""

    tls: bool
    host: str
    port: int
    target: str
    internal: bool

    @property
    def authority(self) -> str:
        """As the `host` header has it."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS["https" if self.tls else "http"] else f"{host}:{self.port}"


@dataclass(slots=True, frozen=True)
class Host:
    """One entry of an operator's list: `images.example.com`, `*.example.com`, `http://10.0.0.7:8000`.

    Without a scheme it means https, without a port the scheme's own; `*.` stands for one label or more.
    """

    scheme: str
    name: str
    port: int
    below: bool

    @classmethod
    def parse(cls, entry: str) -> Self:
        """Raises ValueError, for the operator."""
        parts = urlsplit(entry if "://" in entry else f"https://{entry}")
        below = (parts.hostname or "").startswith("*.")
        name = (parts.hostname or "")[2 if below else 0 :]
        if parts.scheme not in _PORTS or not _HOST.fullmatch(name) or parts.port == 0:
            raise ValueError("must be a host, *.domain or host:port, with http:// in front if it has no TLS")
        if "@" in parts.netloc or parts.path or parts.query or parts.fragment:
            raise ValueError("must end with the host or its port, and hold no credentials")
        return cls(parts.scheme, name, parts.port or _PORTS[parts.scheme], below)

    def fits(self, scheme: str, name: str, port: int) -> bool:
        same = name.endswith(f".{self.name}") if self.below else name == self.name
        return same and (scheme, port) == (self.scheme, self.port)


def find(url: str, public: Sequence[Host], internal: Sequence[Host]) -> Place:
    """Where this URL leads. Raises ValueError, for the caller, if it is none or on no list."""
    if len(url) > LONGEST or not url.isascii() or not url.isprintable() or " " in url or "\\" in url:
        raise ValueError("This is no URL of an image: it must be short, and without spaces or odd characters.")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("This is no URL of an image.") from None
    if parts.scheme not in _PORTS:
        raise ValueError("An image's URL must begin with https:// or data:image/.")
    if "@" in parts.netloc:
        raise ValueError("An image's URL must hold no credentials.")
    name = (parts.hostname or "").removesuffix(".")
    if not _HOST.fullmatch(name):
        raise ValueError("This is no URL of an image: it has no host.")
    asked = (parts.scheme, name, _PORTS[parts.scheme] if port is None else port)
    own = any(host.fits(*asked) for host in internal)
    if not own and not any(host.fits(*asked) for host in public):
        raise ValueError("Images are not fetched from this host.")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return Place(parts.scheme == "https", name, asked[2], target, own)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet, by whatever detour it is written."""
    ip = ip_address(address)
    if isinstance(ip, IPv6Address) and ip.ipv4_mapped is not None:
        ip = ip.ipv4_mapped
    if not ip.is_global or ip.is_multicast or ip.is_reserved:
        return False
    return not any(ip.version == network.version and ip in network for network in _TREACHEROUS)
