"""What the gateway runs on: replicas made of the configuration, kept running, and exchanged while requests go on."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AsyncExitStack, asynccontextmanager, suppress

from gateway.config import Config, ConfigError
from gateway.config.entries import Entries, laid_over
from gateway.discovery import Addresses, Discovery, hosts_of
from gateway.overrides import Overrides
from gateway.replica_maker import Homes, ReplicaMaker
from gateway.snapshots import Pools, snapshot
from gateway.starting import start_all
from router import health
from router.api import Replica
from router.catalog import Catalog

_logger = logging.getLogger("snowshed")

FIRST_LOOK = 1.0
"""Seconds that new replicas have to show that they are ready before they take over; after it they do all the same."""
IDLE_POLL = 0.05
"""Seconds between looks at whether a replica that is to go has ended its work."""


Agree = Callable[[], Awaitable[None]]


class Upstreams:
    """Owner of every engine, and of the catalog's content. One change at a time; a failed one changes nothing."""

    def __init__(self, config: Config, maker: ReplicaMaker, pools: Pools, discovery: Discovery) -> None:
        self._maker = maker
        self._pools = pools
        self._discovery = discovery
        self._drain = config.server.drain_cap  # so long may one that is no longer configured finish its work
        self._changing = asyncio.Lock()
        self._tasks: asyncio.TaskGroup
        self._watches: dict[Replica, asyncio.Task[None]] = {}
        self._leaving: dict[Replica, asyncio.Task[None]] = {}
        self._drained: set[Replica] = set()  # by hand
        self._misfits: set[tuple[str, str]] = set()
        self.file = config
        """What the file says."""
        self.entries: Entries = {}
        """Versions that hold over it."""
        self.config = config
        """What both come to: its models and routes are those that hold."""
        self.overrides = Overrides()
        """What holds over them."""
        self._addresses: Addresses = {}
        self.homes = maker.homes(config.models, self._addresses)
        """The replicas of each version, by its label."""
        self.catalog = Catalog(snapshot(config, self.homes, pools, self.overrides))

    def __repr__(self) -> str:
        return f"<Upstreams {self.catalog!r}, {len(self._watches)} watched, {len(self._leaving)} leaving>"

    @property
    def replicas(self) -> list[Replica]:
        """Those that hold, in the order in which they start."""
        return [replica for home in self.homes.values() for replica in home]

    @property
    def number(self) -> int:
        """Rises with each change of what holds."""
        return self.catalog.number

    def beat(self) -> None:
        """What time alone changes about replicas; some ten times a second. Never raises."""
        for admission in self._pools.every:
            try:
                admission.refresh()
            except Exception:  # the sweep that calls this carries every timer
                _logger.exception("replicas not judged", extra={"version": admission.pool.name})

    async def locate(self) -> dict[str, float]:
        """Before the start: ask for the addresses of replicas that are found by them. The hosts that were asked."""
        if hosts := hosts_of(self.config):
            self._addresses = await self._discovery.ask(hosts)
            self._hold(self.config, self._maker.homes(self.config.models, self._addresses))
        return hosts

    async def start(self, tasks: asyncio.TaskGroup) -> None:
        """Raises NotStarted."""
        self._tasks = tasks
        async with self._changing:
            hosts = await self.locate()
            for replica in self.replicas:
                self._watch(replica)
            await start_all(self.replicas, self._maker)
            self._discovery.follow(hosts, tasks, self._discovered)

    async def apply(self, file: Config) -> None:
        """Take over the models and routes of another file, with the entries that hold over them.

        Raises NotStarted if a new replica can't start, ConfigError if a secret can't be used, or if the entries do not
        go with the file: then nothing changes.
        """
        async with self._changing:
            await self._take(file, self.entries)

    async def lay(self, entries: Entries, agree: Agree | None = None) -> None:
        """Have these hold over the file, in the place of others, once all is ready for them and `agree` returns.

        Raises as `apply` does, and what `agree` raises: then nothing changes.
        """
        async with self._changing:
            await self._take(self.file, entries, agree)

    def steer(self, overrides: Overrides) -> None:
        """Take over what was set about versions, whatever other change is under way."""
        if overrides != self.overrides:
            self.overrides = overrides
            self._hold(self.config, self.homes)

    def drain(self, name: str) -> None:
        """No new work for this replica, until `undrain`; what it is busy with goes on. Raises KeyError."""
        replica = self._named(name)
        self._drained.add(replica)
        replica.draining = True
        self.beat()

    def undrain(self, name: str) -> None:
        """It gets new work again, unless its version is drained. Raises KeyError."""
        self._drained.discard(self._named(name))
        self._mark(self.config, self.homes)
        self.beat()

    def is_drained(self, replica: Replica) -> bool:
        """By hand, whatever becomes of its version."""
        return replica in self._drained

    async def aclose(self) -> None:
        """Every engine, the last one started first."""
        await self._changing.acquire()  # for good: there are no more changes
        self._discovery.stop()
        self._pools.asides.close()
        for task in (*self._leaving.values(), *self._watches.values()):
            task.cancel()
        async with AsyncExitStack() as closing:  # so that one that can't be closed leaves no other one open
            for replica in (*self._leaving, *self.replicas):
                closing.push_async_callback(replica.engine.aclose)

    async def _discovered(self, host: str, addresses: tuple[str, ...]) -> None:
        """Raises as `apply` does."""
        async with self._changing:
            if addresses != self._addresses.get(host):
                await self._exchange(self.config, {**self._addresses, host: addresses})
                _logger.info("replicas found", extra={"host": host, "addresses": len(addresses)})

    async def _take(self, file: Config, entries: Entries, agree: Agree | None = None) -> None:
        config = laid_over(file, entries)
        hosts = hosts_of(config)
        known = {host: self._addresses[host] for host in hosts if host in self._addresses}
        new = [host for host in hosts if host not in known]
        await self._exchange(config, {**known, **await self._discovery.ask(new)}, agree)
        self.file, self.entries = file, entries

    async def _exchange(self, config: Config, addresses: Addresses, agree: Agree | None = None) -> None:
        try:
            homes = self._maker.homes(config.models, addresses)
        except ValueError as error:
            raise ConfigError(str(error)) from None
        async with self._starting_new():
            if agree is not None:
                await agree()
        self._addresses = addresses
        self._hold(config, homes)
        self._discovery.follow(hosts_of(config), self._tasks, self._discovered)

    def _hold(self, config: Config, homes: Homes) -> None:
        """From now on these hold, all at once."""
        self._mark(config, homes)
        made = snapshot(config, homes, self._pools, self.overrides)
        self.config, self.homes = config, homes
        self.catalog.swap(made)
        kept = set(self.replicas)
        for replica in self._leaving.keys() & kept:  # asked for again
            self._leaving.pop(replica).cancel()
        for replica in self._watches.keys() - kept - self._leaving.keys():
            replica.draining = True
            self._leaving[replica] = self._tasks.create_task(self._leave(replica))
        self._drained &= kept
        self._tell_misfits()

    def _mark(self, config: Config, homes: Homes) -> None:
        for spec in config.models:
            drained = self.overrides.is_drained(spec)
            for replica in homes[spec.label]:
                replica.draining = drained or replica in self._drained

    def _tell_misfits(self) -> None:
        """Once for each, as long as it lasts."""
        misfits = set(self.overrides.misfits(self.config.models))
        for kind, model in misfits - self._misfits:
            _logger.warning("override left aside", extra={"kind": kind, "model": model, "reason": "no such version"})
        self._misfits = misfits

    async def _leave(self, replica: Replica) -> None:
        """Ends what it has, and is closed."""
        loop = asyncio.get_running_loop()
        end = loop.time() + self._drain
        while replica.active and loop.time() < end:  # noqa: ASYNC110  # an event would cost each of its calls
            await asyncio.sleep(IDLE_POLL)
        async with self._changing:  # a change that is under way may want it back
            del self._leaving[replica]
            self._watches.pop(replica).cancel()
            self._maker.forget(replica)
        await _close(replica)
        _logger.info("replica gone", extra={"replica": replica.name})

    @asynccontextmanager
    async def _starting_new(self) -> AsyncIterator[None]:
        """All that have been made since the last time, or none, if the block does not end well."""
        new = [replica for replica in self._maker.replicas if replica not in self._watches]
        async with AsyncExitStack() as undoing:
            for replica in new:
                undoing.callback(self._maker.forget, replica)
                undoing.push_async_callback(replica.engine.aclose)
            await start_all(new, self._maker)
            with suppress(TimeoutError):  # a gateway that is ready stays so, if those who come are
                async with asyncio.timeout(FIRST_LOOK):
                    await asyncio.gather(*map(health.look, new))
            yield
            undoing.pop_all()
        for replica in new:
            self._watch(replica)

    def _watch(self, replica: Replica) -> None:
        self._watches[replica] = self._tasks.create_task(health.watch(replica))

    def _named(self, name: str) -> Replica:
        return {replica.name: replica for replica in self.replicas}[name]


async def _close(replica: Replica) -> None:
    try:
        await replica.engine.aclose()
    except Exception:  # one that can't be closed must not end the process
        _logger.exception("replica not closed", extra={"replica": replica.name})
