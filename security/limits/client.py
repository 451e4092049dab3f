"""A client of the store that gateways share, made from its URL: it never tries again by itself."""

from __future__ import annotations

from redis.asyncio import Redis, RedisCluster
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff

from security.limits import sentinel

CLUSTER, SENTINEL = "+cluster", "+sentinel"
SCHEMES = ("redis", "rediss", "unix", "redis+cluster", "rediss+cluster", "redis+sentinel", "rediss+sentinel")


def connect(url: str) -> Redis | RedisCluster:
    """Asks nobody yet. `redis://`, `rediss://` with TLS, `unix://`; each with a user and a password if need be.

    `redis+cluster://` and `rediss+cluster://` name any node of a cluster, `redis+sentinel://` and `rediss+sentinel://`
    Sentinels and a master. How long anything may take is the caller's to say: the driver's own patience would be
    seconds. Raises ValueError, fit for people, without any part of the URL.
    """
    scheme, colon, rest = url.partition("://")
    if not colon or scheme not in SCHEMES:
        *others, last = (f"{name}://" for name in SCHEMES)
        raise ValueError(f"takes a URL that begins with {', '.join(others)} or {last}")
    try:
        return _connected(scheme, rest)
    except sentinel.SentinelUrlError:
        raise
    except (ValueError, TypeError):  # the latter for an option that there is not; the driver's words hold parts of it
        raise ValueError("is no URL of a Redis") from None


def _connected(scheme: str, rest: str) -> Redis | RedisCluster:
    once = Retry(NoBackoff(), 0)
    if scheme.endswith(CLUSTER):
        return RedisCluster.from_url(f"{scheme.removesuffix(CLUSTER)}://{rest}", retry=once, protocol=2)
    if scheme.endswith(SENTINEL):
        client = sentinel.connect(scheme.removesuffix(SENTINEL), rest, once)
    else:
        url = f"{scheme}://{rest}"
        client = Redis.from_url(url, retry=once, socket_timeout=None, socket_connect_timeout=None, protocol=2)
    client.connection_pool.make_connection()  # type: ignore[no-untyped-call]  # to nobody yet, but it knows all options
    return client
