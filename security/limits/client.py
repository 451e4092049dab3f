"""A client of the store that gateways share, made from its URL: it never tries again by itself."""

from __future__ import annotations

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

CLUSTER = "+cluster"


def connect(url: str) -> Redis | RedisCluster:
    """Asks nobody yet. `redis://`, `rediss://` with TLS, `unix://`; each with a user and a password if need be.

    `redis+cluster://` and `rediss+cluster://` name any node of a cluster. How long anything may take is the caller's
    to say: the driver's own patience would be seconds. Raises ValueError.
    """
    once = Retry(NoBackoff(), 0)
    scheme, colon, rest = url.partition(":")
    if scheme.endswith(CLUSTER):
        return RedisCluster.from_url(scheme.removesuffix(CLUSTER) + colon + rest, retry=once, protocol=2)
    return Redis.from_url(url, retry=once, socket_timeout=None, socket_connect_timeout=None, protocol=2)
