"""Makes every object, once, in one place: what the process is made of. Tests call the same function."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import TYPE_CHECKING

from engines.api import Surroundings, Timers
from engines.sweeper import Sweeper
from gateway.accounts import Accounts
from gateway.admission_metrics import AdmissionMetrics
from gateway.authentication import AUTHENTICATORS, AuthenticationMetrics
from gateway.body_memory import BodyMemory
from gateway.config import Config
from gateway.discovery import Discovery, resolve
from gateway.edge import Bounds, Edge, RequestIds
from gateway.heartbeat import Heartbeat
from gateway.learned_costs import LearnedCosts
from gateway.limiting import limiter
from gateway.log_form import Form
from gateway.logs import report_loop_error
from gateway.metrics import Metrics
from gateway.ops import OpsServer
from gateway.overriding import listed
from gateway.pauses import Pauses
from gateway.pipeline import Pipeline
from gateway.pricing import PriceList
from gateway.quotas import Quotas
from gateway.readiness import Readiness
from gateway.recent import Recent
from gateway.reloading import Reloading, Source
from gateway.replica_changes import teller
from gateway.replica_maker import ReplicaMaker
from gateway.replica_metrics import ReplicaMetrics
from gateway.request_log import RequestLog
from gateway.reserving import Reserving
from gateway.routing import Routes
from gateway.self_protection import SelfProtection
from gateway.shown import Shown
from gateway.snapshots import Pools
from gateway.telemetry import Telemetry
from gateway.traffic import Traffic
from gateway.upstreams import Upstreams
from gateway.version import VERSION
from gateway.vitals import Vitals
from router.catalog import Catalog
from router.dispatch import Dispatcher
from router.events import Events
from router.gate import Gate
from router.quarantine import Quarantine
from security.api import Authenticator
from security.exposure import LOOPBACK_NAMES, HostCheck
from security.limits.limiter import Limiter
from security.limits.readings import unknown
from security.open_door import NEIGHBOUR, OpenDoor

if TYPE_CHECKING:
    from gateway.admin.listener import AdminListener
    from gateway.ledger import Ledger
    from gateway.steering import Steering


@dataclass(slots=True)
class Gateway:
    """The objects that live as long as the process."""

    config: Config
    edge: Edge
    auth: Authenticator
    limiter: Limiter
    catalog: Catalog
    upstreams: Upstreams
    reloading: Reloading
    dispatcher: Dispatcher
    learned: LearnedCosts
    readiness: Readiness
    pauses: Pauses
    telemetry: Telemetry
    ops: OpsServer
    admin: AdminListener | None
    steering: Steering | None
    ledger: Ledger | None

    @asynccontextmanager
    async def running(self) -> AsyncIterator[None]:
        """Probes first, then engines; closed in reverse. What must tick, ticks in between."""
        self.ops.start()
        self.pauses.watch()
        asyncio.get_running_loop().set_exception_handler(report_loop_error)
        try:
            # A stack, so that one that can't be closed, or a second Ctrl-C meanwhile, leaves no other one open.
            async with asyncio.TaskGroup() as background, AsyncExitStack() as closing:
                closing.callback(background.create_task(self.edge.sweeper.run(self._beat)).cancel)
                closing.push_async_callback(self.upstreams.aclose)
                closing.push_async_callback(self.auth.aclose)
                closing.callback(background.create_task(self.auth.watch()).cancel)
                await self.auth.start()
                closing.push_async_callback(self.limiter.aclose)
                await self.limiter.start()
                closing.callback(background.create_task(self.limiter.watch()).cancel)
                if self.ledger is not None:  # now its tables are there
                    await closing.enter_async_context(self.ledger.kept())
                    closing.callback(self.telemetry.fold)  # what has ended by then is written, too
                if self.admin is not None:
                    closing.push_async_callback(self.admin.aclose)
                    closing.callback(background.create_task(self.admin.watch()).cancel)
                await self.upstreams.start(background)
                if self.steering is not None:
                    await self.steering.refresh()  # before the first request
                    closing.callback(background.create_task(self.steering.watch()).cancel)
                await closing.enter_async_context(self.learned.kept())  # now all versions are there
                closing.callback(background.create_task(self.reloading.watch()).cancel)
                yield
        finally:
            self.telemetry.close()
            self.pauses.close()
            self.ops.close()

    def _beat(self, now: float) -> None:
        self.edge.protection.beat(now)
        self.upstreams.beat()
        self.telemetry.beat(now)


def build(
    config: Config, cache: Path, log_fd: int = 1, log_form: Form = "json", source: Source | None = None
) -> Gateway:
    """Every object, connected; nothing is opened, started or read but the secrets that the configuration points to.

    `cache` is a folder for what is fetched once; request records go to `log_fd`, in `log_form`.
    `source` is where the configuration came from, if it may be read again.
    """
    clock = time.monotonic
    sweeper = Sweeper()
    times = config.timeouts
    surroundings = Surroundings(sweeper, Timers(times.connect, times.first_token, times.inter_token), cache)
    random, events = Random(), Events()  # noqa: S311  # spreads load, guards nothing
    pools = Pools(clock, random, teller(events))
    upstreams = Upstreams(config, ReplicaMaker(surroundings), pools, Discovery(resolve))
    quotas = Quotas(config.quotas.plans, listed(config.quotas.overrides))
    catalog, reloading = upstreams.catalog, Reloading(source or Source(), upstreams, quotas)
    accounts, traffic = Accounts(clock), Traffic()
    trusting = not config.server.open and config.auth.kind == "none"  # then the Host is all that tells strangers
    auth, limits, ledger = _callers(config, quotas, trusting=trusting)
    dispatcher, gate = Dispatcher(Quarantine(clock, os.urandom(32))), Gate(catalog, pools.pressed)
    pipeline = Pipeline(accounts, auth, gate, catalog, limits, Routes(catalog, dispatcher, random))
    hosts = HostCheck((*LOOPBACK_NAMES, *config.server.names)) if trusting else None
    edge = Edge(
        _bounds(config), clock, sweeper, traffic, BodyMemory(config.limits.bodies), accounts, RequestIds(), hosts,
        SelfProtection(Vitals()), pipeline.serve,
    )  # fmt: skip
    heartbeat, pauses, recent = Heartbeat(clock), Pauses(clock), Recent()
    readiness = Readiness(traffic, catalog, auth)
    shown = Shown(config, upstreams, reloading, events, recent, quotas, limits.limiter)
    admin, steering = _stored(shown, auth, edge) if config.auth.kind == "keys" else (None, None)
    sources = [
        ReplicaMetrics(catalog, readiness, events).lines, reloading.lines, edge.lines, edge.protection.lines,
        pauses.lines, AuthenticationMetrics(auth).lines, pools.asides.lines, AdmissionMetrics(catalog).lines,
    ]  # fmt: skip
    metrics = Metrics(VERSION, [*sources, limits.lines, *(it.lines for it in (admin, ledger) if it)])
    log, keep = RequestLog(log_fd, log_form), ledger.keep if ledger else None
    telemetry = Telemetry(accounts, metrics, log, recent, heartbeat, keep)
    ops = OpsServer(config.ops.host, config.ops.port, heartbeat, readiness.reasons, metrics.render)
    warners = [it.warnings for it in (readiness, edge.protection, limits, ledger, steering) if it]
    ops.warnings = lambda: [words for warner in warners for words in warner()]
    return Gateway(
        config, edge, auth, limits.limiter, catalog, upstreams, reloading, dispatcher,
        LearnedCosts(config.admission.costs, pools), readiness, pauses, telemetry, ops, admin, steering, ledger,
    )  # fmt: skip


def _callers(config: Config, quotas: Quotas, *, trusting: bool) -> tuple[Authenticator, Reserving, Ledger | None]:
    """Who may ask, for how much, and who writes it down. Raises ValueError, fit for people, as of their sections."""
    with _about("auth"):
        auth = OpenDoor(NEIGHBOUR) if trusting else AUTHENTICATORS[config.auth.kind](config.auth)
    ledger = _ledger(config) if config.auth.kind == "keys" else None
    return auth, _limits(config, quotas, ledger), ledger


def _ledger(config: Config) -> Ledger:
    """In the database of the keys."""
    from gateway.ledger import Ledger  # only who keeps keys pays for it
    from gateway.store.bounded import BoundedRegistry
    from gateway.store.database import address

    return Ledger(config.ledger, BoundedRegistry(address(config.auth.url()), time.time), time.time)


def _limits(config: Config, quotas: Quotas, ledger: Ledger | None) -> Reserving:
    spent, prices = ledger.spent if ledger else unknown, PriceList(spec.price for spec in config.ledger.prices)
    with _about("quotas.store"):
        counted = limiter(config.quotas.store, spent, config.quotas.budget_grace)
    return Reserving(quotas, counted, prices, ietf_headers=config.quotas.ietf_headers)


def _stored(shown: Shown, auth: Authenticator, edge: Edge) -> tuple[AdminListener, Steering]:
    """What works on the database of the keys. Raises ValueError, fit for people, for what its section points to."""
    from gateway.admin.app import Ways, create_app  # only who keeps keys pays for it
    from gateway.admin.guard import Guard
    from gateway.admin.listener import AdminListener
    from gateway.admin.tls import server_context
    from gateway.steering import Steering
    from gateway.store.bounded import BoundedRegistry
    from gateway.store.database import address

    options = shown.config.admin
    with _about("admin.tls"):
        tls = server_context(options.tls.certificate, options.tls.key, options.tls.clients) if options.tls else None
    with _about("admin.rate_store"):
        store = options.rate_store.read() if options.rate_store else None
        guard = Guard(options.rate, store, time.monotonic)
    registry = BoundedRegistry(address(shown.config.auth.url()), time.time)
    steering = Steering(registry, shown.upstreams, shown.quotas)
    app = create_app(Ways(shown, registry, steering), auth, guard, edge)
    return AdminListener(app, options, registry, guard, tls), steering


@contextmanager
def _about(setting: str) -> Iterator[None]:
    """Says of a ValueError which setting's it is."""
    try:
        yield
    except ValueError as error:
        raise ValueError(f"{setting}: {error}") from None


def _bounds(config: Config) -> Bounds:
    limits, times = config.limits, config.timeouts
    return Bounds(
        head=limits.head,
        body=limits.body,
        bodies=limits.bodies,
        connections=limits.connections,
        head_time=times.head,
        body_time=times.body,
        idle_time=times.idle,
        stall_time=times.stall,
        total_time=times.total,
        comment_grace=times.comment_grace,
        comment_every=times.comment_every,
    )
