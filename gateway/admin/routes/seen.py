"""Models, versions and replicas as this process sees them at the moment, as answers tell them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from gateway.admin.routes.answers import SeenModel, SeenReplica
from gateway.replica_metrics import REASONS
from gateway.upstreams import Upstreams
from router.api import Replica
from router.pool import Pool


def models(upstreams: Upstreams) -> Iterator[SeenModel]:
    """In the order of the configuration, a version after the other."""
    overrides, specs = upstreams.overrides, upstreams.config.models
    by_name = {(name, spec.version): spec for spec in specs for name in spec.names}
    for model in upstreams.catalog:
        for version in model.versions.values():
            spec = by_name[model.name, version.name]
            weights = overrides.weights_of(spec.name, [other for other in specs if other.name == spec.name])
            set_by: Literal["admin", "file"] = "admin" if spec.label in upstreams.entries else "file"
            yield SeenModel(
                model.name,
                version.name,
                set_by,
                weights[version.name] if weights else spec.weight,
                "admin" if weights else set_by,
                overrides.is_drained(spec),
                version.upstream,
                spec.engine,
                [replica.name for replica in version.pool.replicas],
            )


def replicas(upstreams: Upstreams) -> Iterator[SeenReplica]:
    """In the order of the configuration; those that are going are no longer among them."""
    for replica, (pool, names) in pools(upstreams).items():
        trouble, breaker = replica.trouble, replica.breaker
        yield SeenReplica(
            replica.name,
            names,
            pool.name,
            not trouble,
            trouble,
            pool.asks(replica),
            breaker.state,
            replica.draining,
            round(replica.weight, 3),
            replica.in_flight,
            replica.tokens,
            replica.calls,
            {reason: replica.failures[kind] for kind, reason in REASONS.items()},
        )


def pools(upstreams: Upstreams) -> dict[Replica, tuple[Pool, list[str]]]:
    """The pool of each replica, and the models, with adapters, that run on it."""
    found: dict[Replica, tuple[Pool, list[str]]] = {}
    for model in upstreams.catalog:
        for version in model.versions.values():
            for replica in version.pool.replicas:
                found.setdefault(replica, (version.pool, []))[1].append(model.name)
    return found
