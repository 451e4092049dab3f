"""Keys and certificates that tests present: one for a server on localhost, one for a client, each its own authority."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Pair:
    """PEM, both; the certificate is signed with the key itself."""

    key: bytes
    certificate: bytes


def _pair(name: str) -> Pair:
    mark = b"-----BEGIN CERTIFICATE-----"
    key, certificate = (Path(__file__).parent / name).read_bytes().split(mark)
    return Pair(key, mark + certificate)


def localhost() -> Pair:
    """For DNS:localhost and IP:127.0.0.1."""
    return _pair("localhost.pem")


def client() -> Pair:
    return _pair("client.pem")
