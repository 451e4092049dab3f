"""What is set as the gateway runs, here and by others of the same database: versions, weights, drains, plans."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping, Sequence

from gateway.config import ModelSpec
from gateway.laying import Laying
from gateway.overrides import Overrides
from gateway.planning import Planning
from gateway.quotas import Quotas
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import Actor, NotThere
from gateway.store.steering import DRAINED, WEIGHTS, SteeringTable
from gateway.upstreams import Upstreams
from security.api import StoreAway

_logger = logging.getLogger("snowshed")

POLL = 2.0
"""Seconds between two questions to the database what others have set."""


class Steering:
    """Carries what is set into the database, and from there to the catalog.

    Changes raise StoreAway, and NotThere for a model or version that the configuration has not; what was set about one
    that it had before can be undone all the same, or it would hold again when that comes back.
    """

    def __init__(self, registry: BoundedRegistry, upstreams: Upstreams, quotas: Quotas) -> None:
        self._registry = registry
        self._upstreams = upstreams
        self._one_at_a_time = asyncio.Lock()
        self._trouble = ""
        self.laying = Laying(registry, upstreams)
        self.planning = Planning(registry, quotas, lambda: upstreams.config)

    def __repr__(self) -> str:
        return f"<Steering {self._upstreams.overrides!r}{self._trouble and f'; {self._trouble}'}>"

    def versions(self, model: str) -> Sequence[ModelSpec]:
        """Those that the configuration has, never none."""
        specs = [spec for spec in self._upstreams.config.models if spec.name == model]
        if not specs:
            raise NotThere("There is no such model; aliases and adapters have none of their own.", "model")
        return specs

    async def set_weights(self, model: str, weights: Mapping[str, float], *, by: Actor) -> None:
        """In the place of all that were set before; a version left out gets nobody."""
        versions = [spec.version for spec in self.versions(model)]
        if unknown := sorted(weights.keys() - set(versions)):
            raise NotThere(f"The model has no such version; it has {', '.join(versions)}.", unknown[0])
        await self._change(lambda table: table.set_weights(model, weights, by=by))

    async def clear_weights(self, model: str, *, by: Actor) -> None:
        """So that the file's hold again."""
        if model not in self._upstreams.overrides.weights:
            self.versions(model)
        await self._change(lambda table: table.clear_weights(model, by=by))

    async def drain(self, model: str, version: str, *, by: Actor) -> None:
        """No new work; what it has is finished."""
        self._check(model, version)
        await self._change(lambda table: table.drain(model, version, by=by))

    async def restore(self, model: str, version: str, *, by: Actor) -> None:
        if version not in self._upstreams.overrides.drained.get(model, ()):
            self._check(model, version)
        await self._change(lambda table: table.restore(model, version, by=by))

    async def watch(self) -> None:
        """Keep what others set current, until cancelled."""
        async with asyncio.TaskGroup() as tasks:
            laying = None
            while True:
                await asyncio.sleep(POLL)
                if laying is None or laying.done():
                    laying = tasks.create_task(self._tried(self.laying.refresh))
                await asyncio.wait((laying,), timeout=POLL)  # drains and weights don't wait for a replica's slow start
                self._tell(await self._learned())

    async def refresh(self) -> None:
        """What is set now. While the database is away, what is known holds; that is told once. Never raises."""
        trouble = await self._tried(self.laying.refresh)  # first: the rest may be about new versions
        self._tell(await self._learned() or trouble)

    async def _learned(self) -> str:
        """All that needs no replica to start; one that breaks keeps nothing from the other."""
        trouble = await self._tried(self._learn)
        return await self._tried(self.planning.refresh) or trouble

    async def _tried(self, learn: Callable[[], Awaitable[None]]) -> str:
        """Why the database can't be asked; "" if it can."""
        try:
            await learn()
        except StoreAway as away:
            return away.reason
        except Exception:  # what holds goes on
            _logger.exception("overrides not taken over")
        return ""

    def warnings(self) -> list[str]:
        """For readiness, which they do not touch."""
        return self.planning.warnings()

    def _check(self, model: str, version: str) -> None:
        if version not in {spec.version for spec in self.versions(model)}:
            raise NotThere("The model has no such version.", "version")

    async def _change(self, work: Callable[[SteeringTable], Awaitable[None]]) -> None:
        await self._registry.ask(lambda them: work(them.steering))
        await self._learn()

    async def _learn(self) -> None:
        async with self._one_at_a_time:  # so that no older answer comes after a newer one
            rows = await self._registry.ask(lambda them: them.steering.all())
            self._upstreams.steer(
                Overrides(
                    {model: value for (kind, model), value in rows.items() if kind == WEIGHTS},
                    {model: frozenset(value) for (kind, model), value in rows.items() if kind == DRAINED},
                )
            )

    def _tell(self, trouble: str) -> None:
        if trouble and not self._trouble:
            _logger.warning("overrides not known", extra={"reason": trouble})
        self._trouble = trouble
