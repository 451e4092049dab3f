"""What the gateway runs on: replicas made of the configuration, kept running, and exchanged while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from contextlib import AsyncExitStack

from engines.api import EngineError, Unreachable
from gateway.config import Config
from gateway.overrides import Overrides
from gateway.replica_maker import Homes, ReplicaMaker
from gateway.snapshots import Pools, snapshot
from router import health
from router.api import Replica
from router.catalog import Catalog

_logger = logging.getLogger("snowshed")

IDLE_POLL = 0.05
"""Seconds between looks at whether a replica that is to go has ended its work."""


class Upstreams:
    """Owner of every engine, and of the catalog's content. One change at a time; a failed one changes nothing."""

    def __init__(self, config: Config, maker: ReplicaMaker, pools: Pools) -> None:
        self._maker = maker
        self._pools = pools
        self._drain = config.server.drain_cap  # so long may one that is no longer configured finish its work
        self._changing = asyncio.Lock()
        self._tasks: asyncio.TaskGroup
        self._watches: dict[Replica, asyncio.Task[None]] = {}
        self._misfits: set[tuple[str, str]] = set()
        self.config = config
        """Its models and routes are those that hold."""
        self.overrides = Overrides()
        """What holds over them."""
        self.homes = maker.homes(config.models, {})
        """The replicas of each version, by its label."""
        self.catalog = Catalog(snapshot(config, self.homes, pools, self.overrides))

    def __repr__(self) -> str:
        return f"<Upstreams {self.catalog!r}, {len(self._watches)} watched>"

    @property
    def replicas(self) -> list[Replica]:
        """In the order in which they start."""
        return [replica for home in self.homes.values() for replica in home]

    def beat(self) -> None:
        """What time alone changes about replicas; some ten times a second. Never raises."""
        for pool in self._pools.every:
            try:
                pool.refresh()
            except Exception:  # the sweep that calls this carries every timer
                _logger.exception("replicas not judged", extra={"version": pool.name})

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Raises EngineError that says which replica can't start."""
        self._tasks = tasks
        for replica in self.replicas:
            self._watch(replica)
        for replica in self.replicas:
            await _start(replica)

    async def apply(self, config: Config) -> None:
        """Take over other models and routes. Raises EngineError if a new replica can't start: then nothing changes."""
        async with self._changing:
            homes = self._maker.homes(config.models, self.homes)
            before, after = set(self.replicas), {replica for home in homes.values() for replica in home}
            await self._start_all(after - before)
            self._exchange(config, homes, self.overrides)
            for replica in before - after:
                self.retire(replica)

    async def steer(self, overrides: Overrides) -> None:
        """Take over what was set about versions."""
        async with self._changing:
            if overrides != self.overrides:
                self._exchange(self.config, self.homes, overrides)

    async def aclose(self) -> None:
        """Every engine, the last one started first."""
        async with AsyncExitStack() as closing:  # so that one that can't be closed leaves no other one open
            for replica in self.replicas:
                closing.push_async_callback(replica.engine.aclose)
            for watch in self._watches.values():
                watch.cancel()

    def _exchange(self, config: Config, homes: Homes, overrides: Overrides) -> None:
        made = snapshot(config, homes, self._pools, overrides)
        for spec in config.models:
            drained = overrides.is_drained(spec)
            if drained or self.overrides.is_drained(spec):  # else each as it was told by hand
                for replica in homes[spec.label]:
                    replica.draining = drained
        self.beat()
        self.config, self.homes, self.overrides = config, homes, overrides
        self.catalog.swap(made)
        self._tell_misfits()

    def _tell_misfits(self) -> None:
        """Once for each, as long as it lasts."""
        misfits = set(self.overrides.misfits(self.config.models))
        for kind, model in misfits - self._misfits:
            _logger.warning("override left aside", extra={"kind": kind, "model": model, "reason": "no such version"})
        self._misfits = misfits

    def retire(self, replica: Replica) -> None:
        """No new work from now on; it is closed once it has ended what it has."""
        replica.draining = True
        self._tasks.create_task(self._retired(replica))

    async def _retired(self, replica: Replica) -> None:
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain
        while replica.active and loop.time() < end:  # noqa: ASYNC110  # an event would cost each of its calls
            await asyncio.sleep(IDLE_POLL)
        if (watch := self._watches.pop(replica, None)) is not None:
            watch.cancel()
        await replica.engine.aclose()
        _logger.info("replica gone", extra={"replica": replica.name})

    async def _start_all(self, replicas: Iterable[Replica]) -> None:
        async with AsyncExitStack() as undoing:
            for replica in replicas:
                undoing.push_async_callback(replica.engine.aclose)
                await _start(replica)
            undoing.pop_all()
        for replica in replicas:
            self._watch(replica)

    def _watch(self, replica: Replica) -> None:
        self._watches[replica] = self._tasks.create_task(health.watch(replica))


async def _start(replica: Replica) -> None:
    try:
        await replica.engine.start()
    except EngineError as error:
        raise Unreachable(f"Replica {replica.name}: {error}") from None
