"""Starts replicas, all or none: those of other machines at the same time, those of this one in turn."""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from engines.api import EngineError, Unreachable
from gateway.replica_maker import ReplicaMaker
from router.api import Replica


class NotStarted(Unreachable):
    """Says which replica can't start, and why. `culprits`: the label of its version."""

    def __init__(self, replica: str, error: EngineError, label: str) -> None:
        super().__init__(f"Replica {replica}: {error}")
        self.culprits = (label,)


async def start_all(replicas: Iterable[Replica], maker: ReplicaMaker) -> None:
    """Raises NotStarted of the first that can't; others may have been started then, and are the caller's to close.

    A server that is silent holds its replica up for seconds, and eight of them no longer than one. What loads a model
    on this machine has it for itself meanwhile.
    """

    async def start(replica: Replica) -> None:
        try:
            await replica.engine.start()
        except EngineError as error:
            raise NotStarted(replica.name, error, maker.label(replica)) from None

    here = []
    try:
        async with asyncio.TaskGroup() as group:
            for replica in replicas:
                if maker.runs_here(replica):
                    here.append(replica)
                else:
                    group.create_task(start(replica))
            for replica in here:
                await start(replica)
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None  # the others were cancelled for it
