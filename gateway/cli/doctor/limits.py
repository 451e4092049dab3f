"""The store that gateways share limits in, if there is one: it is given the script that limits are counted by."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from typing import TYPE_CHECKING

from gateway.cli.doctor.finding import Finding
from gateway.config import Config
from gateway.limiting import store_client

if TYPE_CHECKING:
    from redis.asyncio import Redis, RedisCluster

SUBJECT = "limits"
SECONDS = 5.0
"""For its answer."""


def look(config: Config) -> Iterator[Finding]:
    """A line, if limits are shared."""
    if config.quotas.store is None:
        return
    try:
        client = store_client(config.quotas.store)
    except ValueError as error:
        yield Finding("wrong", SUBJECT, f"quotas.store: {error}", "mend it, or take quotas.store out")
        return
    trouble, evicts = asyncio.run(_asked(client))
    if trouble:
        yield Finding(
            "wrong", SUBJECT, f"the store that gateways share can't be asked ({trouble})",
            "see that it runs, and that quotas.store has its URL, with the user and TLS that it wants",
        )  # fmt: skip
    elif evicts:
        yield Finding(
            "note", SUBJECT, f"the store that gateways share throws keys away when its memory is full ({evicts}):"
            " a limit whose key is thrown away begins anew", "set its maxmemory-policy to noeviction",
        )  # fmt: skip
    else:
        yield Finding("ok", SUBJECT, "the store that gateways share answers")


async def _asked(client: Redis | RedisCluster) -> tuple[str, str]:
    """The kind of error, whose words might tell more than they should, and by what policy it evicts: "" if none."""
    from redis.exceptions import RedisClusterException, RedisError

    from security.limits import script

    try:
        async with asyncio.timeout(SECONDS):
            await client.script_load(script.text())
            return "", await _evicts(client)
    except (RedisError, RedisClusterException, OSError) as error:
        return type(error).__name__, ""
    finally:
        await client.aclose()


async def _evicts(client: Redis | RedisCluster) -> str:
    """By what policy, if its memory is bounded and we may know."""
    from redis.exceptions import NoPermissionError

    try:
        memory = await client.info("memory")
    except NoPermissionError:
        return ""
    policy = str(memory.get("maxmemory_policy", ""))
    return policy if memory.get("maxmemory") and policy != "noeviction" else ""
