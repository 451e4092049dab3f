"""Models and replicas, as this process sees them at the moment."""

from __future__ import annotations

from collections.abc import Sequence

from fastapi import APIRouter
from starlette.responses import Response

from gateway.admin.routes.answers import ModelList, ReplicaList, SeenModel, SeenReplica, answer, documented
from gateway.config import ModelSpec
from gateway.replica_metrics import REASONS
from router.api import Replica
from router.catalog import Catalog


def routes(specs: Sequence[ModelSpec], catalog: Catalog) -> APIRouter:
    """/v1/models and /v1/replicas."""
    router = APIRouter(tags=["models"])
    engines = {(name, spec.version): spec.engine for spec in specs for name in spec.names}

    @router.get("/models", openapi_extra=documented(ModelList))
    async def list_models() -> Response:
        """What callers may name, and where it runs."""
        seen = [
            SeenModel(
                model.name,
                version.name,
                version.upstream,
                engines[model.name, version.name],
                [replica.name for replica in version.pool.replicas],
            )
            for model in catalog
            for version in model.versions.values()
        ]
        return answer(ModelList(seen))

    @router.get("/replicas", openapi_extra=documented(ReplicaList))
    async def list_replicas() -> Response:
        """How each is, what it is busy with, and what it has had and failed since the start."""
        homes: dict[Replica, list[str]] = {}
        for model in catalog:
            for replica in model.replicas:
                homes.setdefault(replica, []).append(model.name)
        return answer(ReplicaList([_seen(replica, names) for replica, names in homes.items()]))

    return router


def _seen(replica: Replica, models: list[str]) -> SeenReplica:
    failures = {reason: replica.failures[kind] for kind, reason in REASONS.items()}
    reason = replica.verdict
    return SeenReplica(replica.name, models, not reason, reason, replica.in_flight, replica.calls, failures)
