"""From the configuration to the snapshot that the catalog holds: models in versions, each over its pool."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random

from engines import ENGINES
from gateway.asides import Asides
from gateway.config import Config, ModelSpec
from gateway.config.routing import RoutingSpec
from gateway.overrides import Overrides
from gateway.replica_maker import Homes
from router.admission import Admission
from router.api import Policy
from router.catalog import Snapshot
from router.events import Change
from router.fair_queue import Bounds
from router.model import Fallback, Model, Version
from router.policies import POLICIES
from router.pool import Pool
from router.split import Split
from router.ticket import Terms


class Pools:
    """A pool per version with the queue in front of it, kept over changes of the configuration for what they know."""

    def __init__(self, clock: Callable[[], float], random: Random, tell: Callable[[Change], None]) -> None:
        self._clock = clock
        self._random = random
        self._tell = tell
        self._admissions: dict[str, Admission] = {}
        self._policies: dict[str, str] = {}
        self.pressed: set[Admission] = set()
        """Those in which somebody waits."""
        self.asides = Asides(clock, random)
        self.created = int(time.time())

    def __repr__(self) -> str:
        return f"<Pools {list(self._admissions.values())!r}>"

    @property
    def every(self) -> Iterable[Admission]:
        return self._admissions.values()

    def take(self, config: Config, homes: Homes) -> Mapping[str, Admission]:
        """One for each version, by label, with the replicas of its home from now on; the others are forgotten.

        Requests that are still with one of the others find no replica there.
        """
        before, self._admissions = self._admissions, {}
        policies, self._policies = self._policies, {spec.label: spec.policy for spec in config.models}
        for spec in config.models:
            terms = _terms(spec, config)
            admission = before.pop(spec.label, None)
            if admission is None:
                pool = Pool(spec.label, (), self._policy(spec), self._clock, self._random, self._tell)
                admission = Admission(pool, terms, self._clock, self._random, self.pressed)
            elif policies[spec.label] != spec.policy:
                admission.pool.policy = self._policy(spec)
            admission.pool.capacity = spec.capacity
            admission.replace(homes[spec.label], terms)
            self._admissions[spec.label] = admission
        for gone in before.values():
            gone.replace((), gone.terms)
        return self._admissions

    def _policy(self, spec: ModelSpec) -> Policy:
        return POLICIES[spec.policy](self._random)


def _terms(spec: ModelSpec, config: Config) -> Terms:
    queue = config.admission
    bounds = Bounds(queue.queue, queue.queue_bytes, queue.tenant_share)
    return Terms(bounds, spec.patience(queue.start_within), ENGINES[spec.engine].prices)


def snapshot(config: Config, homes: Homes, pools: Pools, overrides: Overrides) -> Snapshot:
    """Models, each as itself and with each adapter, on the same pools."""
    taken = pools.take(config, homes)
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
    adapter: str,
    specs: Sequence[ModelSpec],
    route: RoutingSpec,
    split: Split,
    taken: Mapping[str, Admission],
    created: int,
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
            taken[spec.label],
        )
        for spec in specs
    }
    tenants = frozenset(route.tenants) or None
    fallback = None
    if route.fallback is not None:
        fallback = Fallback(route.fallback.models, frozenset(route.fallback.when))
    return Model(f"{name}{suffix}", created, versions, split, tenants, fallback)
