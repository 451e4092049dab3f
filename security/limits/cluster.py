"""Runs of the script in a cluster: each tenant's go to the node that has its keys, which may become another one."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from contextlib import suppress
from typing import Any

from redis import exceptions
from redis.asyncio import RedisCluster

from security.limits.going import goes_on
from security.limits.script import Call
from security.limits.wire import Wire

LOOK = 1.0
"""Seconds between two questions who has which keys, while somebody who should have them can't be reached."""
PATIENCE = 0.5
"""Seconds for an answer; another node is asked after that."""
LOST = (exceptions.ConnectionError, exceptions.TimeoutError, exceptions.ClusterDownError)
"""Errors that say something of a node, or of all, and nothing of one call."""


class ClusterWire(Wire):
    """Over a client of a cluster."""

    def __init__(self, client: RedisCluster, script: str) -> None:
        super().__init__(client, script)
        self._cluster = client
        self._lost = False

    async def follow(self) -> None:
        """Asks who has which keys, once a node was lost: the driver does so for single commands alone."""
        while goes_on():
            await asyncio.sleep(LOOK)
            if self._lost:
                self._lost = not await self._learn()

    async def _run_known(self, calls: Sequence[Call]) -> list[Any]:
        pipeline: Any = self._cluster.pipeline(transaction=False)  # each tenant's calls stay in their order
        for keys, arguments in calls:
            pipeline.execute_command("EVALSHA", self._sha, len(keys), *keys, *arguments)
        try:
            replies: list[Any] = await pipeline.execute(raise_on_error=False)
        except BaseException:  # among them that it has taken too long
            self._lost = True
            raise
        self._lost |= any(isinstance(reply, LOST) for reply in replies)
        return replies

    async def _run_unknown(self, calls: Sequence[Call]) -> list[Any]:
        await self._cluster.script_load(self._script)
        return await self._run_known(calls)

    async def _learn(self) -> bool:
        with suppress(exceptions.RedisError, exceptions.RedisClusterException, OSError):
            async with asyncio.timeout(PATIENCE):
                await self._cluster.nodes_manager.initialize()
            return True
        return False
