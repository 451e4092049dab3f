"""HTTP to servers of this machine: without proxies, and without the certificates that httpx2 reads for each client.

Reading them takes 24 ms, and a request one: tests ask thousands of times.
"""

from __future__ import annotations

import functools
import ssl
from typing import Any

import httpx2


@functools.cache
def nobody() -> ssl.SSLContext:
    """Whom a client trusts that meets no certificate."""
    return ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)


def client(**options: Any) -> httpx2.Client:
    """As of httpx2; `verify` says whom else it trusts."""
    return httpx2.Client(**{"trust_env": False, "verify": nobody(), **options})


def get(url: str, **options: Any) -> httpx2.Response:
    return httpx2.get(url, trust_env=False, verify=nobody(), **options)


def post(url: str, **options: Any) -> httpx2.Response:
    return httpx2.post(url, trust_env=False, verify=nobody(), **options)
