"""A client of whichever store is the master now: Sentinels are asked at each new connection, and now and then."""

from __future__ import annotations

import asyncio
from contextlib import suppress
from typing import Any
from urllib.parse import unquote, urlsplit

from redis.asyncio import Redis
from redis.asyncio.connection import AbstractConnection, Connection, parse_url
from redis.asyncio.retry import Retry
from redis.asyncio.sentinel import Sentinel, SentinelConnectionPool
from redis.exceptions import RedisError

from security.limits.going import goes_on

PORT = 26379
PATIENCE = 0.1
"""Seconds in which one Sentinel must answer: a silent one is not to hide the others from who has half a second."""
LOOK = 1.0
"""Seconds after which they are asked anew, though the master answers."""


class MasterPool(SentinelConnectionPool):
    """Of connections to the master; it owns the Sentinels that it asks."""

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)  # type: ignore[no-untyped-call]
        self._asking = asyncio.Lock()

    async def get_master_address(self) -> Any:
        async with self._asking:  # the driver, asking twice at a time, may put one Sentinel in the place of another
            return await super().get_master_address()  # type: ignore[no-untyped-call]

    async def follow(self) -> None:
        """Notice that another is the master now, until cancelled: who was replaced without need answers for a while."""
        while goes_on():
            await asyncio.sleep(LOOK)
            with suppress(RedisError, OSError):  # nobody knows of another, and this one may be well
                await self.get_master_address()

    async def ensure_connection(self, connection: AbstractConnection) -> None:
        assert isinstance(connection, Connection)
        if connection.is_connected and (connection.host, connection.port) != self.master_address:
            await connection.disconnect(nowait=True)
        await super().ensure_connection(connection)

    async def aclose(self) -> None:
        await super().aclose()
        await self.sentinel_manager.aclose()


def connect(scheme: str, rest: str, retry: Retry) -> Redis:
    """Asks nobody yet. `scheme` is `redis` or, with TLS to the store and to the Sentinels alike, `rediss`.

    `rest`: `[user:password@]host[:port][,host[:port]]/master[/db]`. The user is the store's; that of the Sentinels, if
    they want one, stands in the query as `sentinel_username` and `sentinel_password`, as options of the driver do.
    Raises ValueError: with words of ours, fit for people, or with the driver's.
    """
    where, _, query = rest.partition("?")
    authority, _, path = where.partition("/")
    login, at, hosts = authority.rpartition("@")
    master, _, database = path.partition("/")
    addresses = [_address(host) for host in hosts.split(",")]
    if not master:
        raise SentinelUrlError("names no master behind its Sentinels: redis+sentinel://HOST:PORT,HOST:PORT/MASTER")
    if database and not database.isdecimal():
        raise SentinelUrlError("takes nothing but the number of a database behind the master's name")
    options: dict[str, Any] = {**parse_url(f"{scheme}://{login}{at}master/{database}?{query}")}
    del options["host"]
    options.pop("connection_class", None)  # the pool has its own
    tls = {"ssl": scheme == "rediss", **{name: value for name, value in options.items() if name.startswith("ssl_")}}
    who = {name: options.pop(f"sentinel_{name}", None) for name in ("username", "password")}
    hurried = {"socket_timeout": PATIENCE, "socket_connect_timeout": PATIENCE, "retry": retry, "protocol": 2}
    ours = {"socket_timeout": None, "socket_connect_timeout": None, "retry": retry, "protocol": 2}
    sentinels = Sentinel(addresses, sentinel_kwargs={**who, **tls, **hurried})  # type: ignore[no-untyped-call]
    return Redis.from_pool(MasterPool(unquote(master), sentinels, **{**ours, **options, **tls}))


class SentinelUrlError(ValueError):
    """What is wrong with a URL, fit for people, without any part of it."""


def _address(host: str) -> tuple[str, int]:
    try:
        split = urlsplit(f"//{host}")
        name, port = split.hostname, split.port
    except ValueError:
        name = port = None
    if not name:
        raise SentinelUrlError("takes its Sentinels as redis+sentinel://HOST:PORT,HOST:PORT/MASTER")
    return name, port or PORT
