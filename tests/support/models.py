"""Models over replicas made by hand: one version each, as the wiring makes them."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from random import Random

from engines.api import Engine
from router.admission import Admission
from router.api import Policy, Replica
from router.catalog import Catalog, Snapshot
from router.events import Change, ignore
from router.fair_queue import Bounds
from router.model import Model, Version
from router.policies.round_robin import RoundRobin
from router.pool import Pool
from router.split import Split
from router.ticket import Terms

TERMS = Terms(Bounds(), (1.0, 2.0, 10.0))


def made_of(
    name: str,
    replicas: Iterable[Replica],
    clock: Callable[[], float] = lambda: 0.0,
    policy: Policy | None = None,
    tell: Callable[[Change], None] = ignore,
    terms: Terms = TERMS,
) -> Model:
    """A model with the version `1`, in round robin unless a policy is given."""
    pool = Pool(f"{name}@1", replicas, policy or RoundRobin(Random(1)), clock, Random(1), tell)
    admission = Admission(pool, terms, clock, Random(1), set())
    version = Version(name, "1", f"{name}@1", "upstream", 16, "max_tokens", admission)
    return Model(name, 0, {"1": version}, Split(name, {"1": 1.0}, "key"))


def over(name: str, *engines: Engine) -> Model:
    """The same over engines; the replicas are called `name-0` and so on."""
    return made_of(name, [Replica(f"{name}-{at}", engine) for at, engine in enumerate(engines)])


def catalog(*models: Model) -> Catalog:
    return Catalog(Snapshot(models))
