"""URLs of the store that gateways share: what is wrong with one is told in words that hold no part of it."""

from __future__ import annotations

import re
from typing import Any

import pytest
from redis.asyncio import Redis
from redis.asyncio.sentinel import SentinelConnectionPool, SentinelManagedConnection, SentinelManagedSSLConnection

from security.limits.client import connect

SENTINELS = "takes its Sentinels as redis+sentinel://HOST:PORT,HOST:PORT/MASTER"
NO_MASTER = "names no master behind its Sentinels: redis+sentinel://HOST:PORT,HOST:PORT/MASTER"
NO_DATABASE = "takes nothing but the number of a database behind the master's name"
NO_URL = "is no URL of a Redis"
SCHEMES = (
    "takes a URL that begins with redis://, rediss://, unix://, redis+cluster://, rediss+cluster://, redis+sentinel:// "
    "or rediss+sentinel://"
)


def watched(url: str) -> tuple[SentinelConnectionPool, list[dict[str, Any]]]:
    """The pool of connections to the master, and how each Sentinel is reached."""
    client = connect(url)
    assert isinstance(client, Redis)
    pool = client.connection_pool
    assert isinstance(pool, SentinelConnectionPool)
    return pool, [sentinel.connection_pool.connection_kwargs for sentinel in pool.sentinel_manager.sentinels]


@pytest.mark.parametrize(
    ("rest", "wrong"),
    [
        ("canary", NO_MASTER),
        ("canary/", NO_MASTER),
        ("canary:26379,other:26379?db=1", NO_MASTER),
        ("/canary", SENTINELS),
        ("canary,,other/limits", SENTINELS),
        ("canary:port/limits", SENTINELS),
        ("canary:99999/limits", SENTINELS),
        ("[::1/canary", SENTINELS),
        ("host/limits/canary", NO_DATABASE),
        ("host/limits/0/canary", NO_DATABASE),
        ("host/limits?canary=1", NO_URL),
        ("host/limits?socket_timeout=canary", NO_URL),
    ],
)
def test_what_is_wrong_with_a_url_of_sentinels_is_told(rest: str, wrong: str) -> None:
    for login in ("", "canary:canary@"):
        with pytest.raises(ValueError, match=f"^{re.escape(wrong)}$"):
            connect(f"redis+sentinel://{login}{rest}")


@pytest.mark.parametrize(
    ("url", "wrong"),
    [
        ("canary", SCHEMES),
        ("", SCHEMES),
        ("http://canary", SCHEMES),
        ("unix+sentinel://canary/limits", SCHEMES),
        ("redis://host:canary", NO_URL),
        ("redis://host?canary=1", NO_URL),
        ("redis+cluster://host?canary=1", NO_URL),
    ],
)
def test_what_is_wrong_with_other_urls_is_told(url: str, wrong: str) -> None:
    with pytest.raises(ValueError, match=f"^{re.escape(wrong)}$"):
        connect(url)


def test_sentinels_are_those_that_are_named() -> None:
    pool, sentinels = watched("redis+sentinel://one:1,[::1]:2,three/my%20limits/4?health_check_interval=5")
    assert [(one["host"], one["port"]) for one in sentinels] == [("one", 1), ("::1", 2), ("three", 26379)]
    assert pool.service_name == "my limits"
    assert (pool.connection_kwargs["db"], pool.connection_kwargs["health_check_interval"]) == (4, 5)
    assert pool.connection_class is SentinelManagedConnection


def test_the_store_and_its_sentinels_have_users_of_their_own() -> None:
    pool, (sentinel,) = watched("redis+sentinel://us%40er:p%2Fw@host/limits")
    assert (pool.connection_kwargs["username"], pool.connection_kwargs["password"]) == ("us@er", "p/w")
    assert (sentinel["username"], sentinel["password"]) == (None, None)
    pool, (sentinel,) = watched("redis+sentinel://:pw@host/limits?sentinel_username=watch&sentinel_password=p%26w")
    assert pool.connection_kwargs["password"] == "pw"
    assert (sentinel["username"], sentinel["password"]) == ("watch", "p&w")


def test_tls_goes_to_the_store_and_to_its_sentinels() -> None:
    pool, (sentinel,) = watched("rediss+sentinel://host/limits?ssl_ca_certs=ca.pem")
    assert pool.connection_class is SentinelManagedSSLConnection
    assert (pool.connection_kwargs["ssl_ca_certs"], sentinel["ssl_ca_certs"]) == ("ca.pem", "ca.pem")
