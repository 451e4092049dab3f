"""From the configuration to the snapshot that the catalog holds: models in versions, each over its pool."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from gateway.asides import Asides
from gateway.config import Config, ModelSpec
from gateway.config.routing import RoutingSpec
from gateway.overrides import Overrides
from gateway.replica_maker import Homes
from router.catalog import Snapshot
from router.events import Change
from router.model import Fallback, Model, Version
from router.policies import POLICIES
from router.pool import Pool
from router.split import Split


class Pools:
    """A pool per version, kept over changes of the configuration for what it has learnt."""

    def __init__(self, clock: Callable[[], float], random: Random, tell: Callable[[Change], None]) -> None:
        self._clock = clock
        self._random = random
        self._tell = tell
        self._pools: dict[tuple[str, str], Pool] = {}
        self.asides = Asides(clock, random)
        self.created = int(time.time())

    def __repr__(self) -> str:
        return f"<Pools {list(self._pools.values())!r}>"

    @property
    def every(self) -> Iterable[Pool]:
        return self._pools.values()

    def take(self, specs: Iterable[ModelSpec], homes: Homes) -> Mapping[str, Pool]:
        """A pool for each, by label, with the replicas of its home from now on; the others are forgotten.

        Requests that still are with one of the others may go on to its version's new replicas, if it has any.
        """
        before, self._pools = self._pools, {}
        for spec in specs:
            key = (spec.label, spec.policy)
            pool = before.get(key)
            if pool is None:
                policy = POLICIES[spec.policy](self._random)
                pool = Pool(spec.label, homes[spec.label], policy, self._clock, self._random, self._tell)
            else:
                pool.replace(homes[spec.label])
            self._pools[key] = pool
        for gone in before.keys() - self._pools.keys():
            before[gone].replace(homes.get(gone[0], ()))
        return {label: pool for (label, _), pool in self._pools.items()}


def snapshot(config: Config, homes: Homes, pools: Pools, overrides: Overrides) -> Snapshot:
    """Models, each as itself and with each adapter, on the same pools."""
    taken = pools.take(config.models, homes)
    routing = {spec.model: spec for spec in config.routing}
    groups: dict[str, list[ModelSpec]] = {}
    for spec in config.models:
        groups.setdefault(spec.name, []).append(spec)
    models = []
    for name, specs in groups.items():
        route = routing.get(name) or RoutingSpec(model=name)
        split = _split(route, specs, overrides)
        drained = _drained(specs, overrides)
        for adapter in ("", *specs[0].adapters):
            model = _model(adapter, specs, route, split, taken, pools.created)
            models.append(pools.asides.beside(model, route, drained))
    aliases = {
        f"{alias}{suffix}": f"{spec.model}{suffix}"
        for spec in config.routing
        for alias in spec.aliases
        for suffix in ("", *(f":{adapter}" for adapter in groups[spec.model][0].adapters))
    }
    return Snapshot(models, aliases)


def _split(route: RoutingSpec, specs: Sequence[ModelSpec], overrides: Overrides) -> Split:
    """Rules don't lead to what is drained."""
    drained = _drained(specs, overrides)
    rules = [rule for rule in route.split_rules if rule.version not in drained]
    return Split(route.model, overrides.shares(route.model, specs), route.sticky, rules)


def _drained(specs: Sequence[ModelSpec], overrides: Overrides) -> set[str]:
    return {spec.version for spec in specs if overrides.is_drained(spec)}


def _model(
    adapter: str, specs: Sequence[ModelSpec], route: RoutingSpec, split: Split, pools: Mapping[str, Pool], created: int
) -> Model:
    name = route.model
    suffix = f":{adapter}" if adapter else ""
    versions = {
        spec.version: Version(
            f"{name}{suffix}",
            spec.version,
            f"{name}{suffix}@{spec.version}",
            f"{spec.upstream or spec.name}{suffix}",
            spec.max_tokens,
            spec.cap_field,
            pools[spec.label],
        )
        for spec in specs
    }
    tenants = frozenset(route.tenants) or None
    fallback = None
    if route.fallback is not None:
        fallback = Fallback(route.fallback.models, frozenset(route.fallback.when))
    return Model(f"{name}{suffix}", created, versions, split, tenants, fallback)
