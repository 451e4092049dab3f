"""A client of the store that gateways share, made from its URL: it never tries again by itself."""

from __future__ import annotations

from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff


def connect(url: str) -> Redis:
    """Asks nobody yet. `redis://`, `rediss://` with TLS, `unix://`; each with a user and a password if need be.

    How long anything may take is the caller's to say: the driver's own patience would be seconds.
    """
    return Redis.from_url(
        url, retry=Retry(NoBackoff(), 0), socket_timeout=None, socket_connect_timeout=None, protocol=2
    )
