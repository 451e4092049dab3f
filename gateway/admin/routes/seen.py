"""Models, versions and replicas as this process sees them at the moment, as answers tell them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from heapq import nlargest
from typing import Literal

from gateway.admin.routes.answers import SeenModel, SeenReplica
from gateway.admin.routes.queue_answers import SeenClass, SeenCosts, SeenQueue, SeenShare, Used
from gateway.admission_metrics import RANKED, backlog, homes, uses
from gateway.replica_metrics import REASONS
from gateway.upstreams import Upstreams
from router.admission import Admission
from router.api import Rank, Replica
from router.fair_queue import RANKS
from router.pool import Pool
from router.rates import Rates

TENANTS = 100
"""Of each queue, at most: there may be as many as requests."""


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
            {limit: Used(round(used), round(most)) for limit, used, most in uses(replica)},
            replica.calls,
            {reason: replica.failures[kind] for kind, reason in REASONS.items()},
        )


def queues(upstreams: Upstreams) -> Iterator[SeenQueue]:
    """In the order of the configuration."""
    for admission, names in homes(upstreams.catalog).items():
        queue = admission.queue
        bounds = queue.bounds
        yield SeenQueue(
            admission.pool.name,
            names,
            Used(len(queue), bounds.requests),
            Used(queue.size, bounds.size),
            {name: _class(admission, rank) for rank, name in RANKED},
            _shares(queue.shares()),
            {name: _costs(rates) for name, rates in admission.costs.replicas.items()},
        )


def _class(admission: Admission, rank: Rank) -> SeenClass:
    queue, seconds = admission.queue, backlog(admission, rank)
    shed = {reason: count for (reason, of_class), count in admission.refused.items() if of_class == rank}
    return SeenClass(queue.depth(rank), round(queue.charge(rank)), seconds and round(seconds, 3), shed)


def _costs(rates: Rates) -> SeenCosts:
    return SeenCosts(round(1e6 * rates.first.price, 3), round(1e6 * rates.decoding.value, 3))


def _shares(shares: Sequence[tuple[str, int, int, float]]) -> list[SeenShare]:
    """By class, those that have been served least first."""
    least: dict[int, float] = {}
    for _, rank, waiting, counter in shares:
        if waiting:
            least[rank] = min(counter, least.get(rank, counter))
    most = nlargest(TENANTS, shares, key=lambda share: share[2])
    return [
        SeenShare(tenant, RANKS[rank], waiting, round(counter - least.get(rank, counter)))
        for tenant, rank, waiting, counter in sorted(most, key=lambda share: (share[1], share[3], share[0]))
    ]


def pools(upstreams: Upstreams) -> dict[Replica, tuple[Pool, list[str]]]:
    """The pool of each replica, and the models, with adapters, that run on it."""
    found: dict[Replica, tuple[Pool, list[str]]] = {}
    for model in upstreams.catalog:
        for version in model.versions.values():
            for replica in version.pool.replicas:
                found.setdefault(replica, (version.pool, []))[1].append(model.name)
    return found
