"""Replicas of this process: how each is, and what is done to it by hand, which no other process hears of."""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.admin.entry import Visitor
from gateway.admin.routes.answers import ReplicaList, SeenReplica, answer, documented
from gateway.admin.routes.asked import Ejection
from gateway.admin.routes.seen import pools, replicas
from gateway.admin.routes.visiting import Caller
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import Conflict, NotThere
from gateway.upstreams import Upstreams
from router.api import Replica
from router.pool import Pool

ReplicaName = Annotated[str, Path(alias="replica", pattern=r"^[\x21-\x7e]{1,300}$")]
_OF_REPLICA = "/replicas/{replica:path}"


def routes(upstreams: Upstreams, registry: BoundedRegistry) -> APIRouter:
    """Every path under /v1/replicas. What is done holds until it is undone, or the process ends."""
    router = APIRouter(tags=["replicas"])

    def told(name: str) -> Response:
        return answer(next(seen for seen in replicas(upstreams) if seen.name == name))

    noted = partial(_noted, upstreams, registry)

    @router.get("/replicas", openapi_extra=documented(ReplicaList))
    async def list_replicas() -> Response:
        """How each is, what it is busy with, and what it has had and failed since the start."""
        return answer(ReplicaList(list(replicas(upstreams))))

    @router.post(_OF_REPLICA + "/drain", openapi_extra=documented(SeenReplica))
    async def drain_replica(caller: Caller, name: ReplicaName) -> Response:
        """It gets no new work, and finishes what it has."""
        if not upstreams.is_drained(_find(upstreams, name)[0]):
            await noted("drain", name, caller, {"drained": True})
            upstreams.drain(name)
        return told(name)

    @router.post(_OF_REPLICA + "/eject", openapi_extra=documented(SeenReplica))
    async def eject_replica(caller: Caller, name: ReplicaName, asked: Ejection) -> Response:
        """It is not asked for so long, or until it is restored, whatever becomes of the others; then it is probed."""
        replica, pool = await noted("eject", name, caller, {"ejected": True, "seconds": asked.seconds})
        pool.eject(replica, asked.seconds)
        return told(name)

    @router.post(_OF_REPLICA + "/restore", openapi_extra=documented(SeenReplica))
    async def restore_replica(caller: Caller, name: ReplicaName) -> Response:
        """It gets work again: slowly at first if it was its failures that ejected it."""
        replica, pool = _find(upstreams, name)
        _check_restorable(upstreams, pool)
        if replica.draining or replica.breaker.state != "closed":
            replica, pool = await noted("restore", name, caller, {"drained": False, "ejected": False})
            upstreams.undrain(name)
            pool.restore(replica)
        return told(name)

    return router


async def _noted(
    upstreams: Upstreams, registry: BoundedRegistry, action: str, name: str, caller: Visitor, changes: dict[str, Any]
) -> tuple[Replica, Pool]:
    """Before it is done: nothing happens that is not in the audit trail. Raises NotThere if it is gone by then."""
    replica, _ = _find(upstreams, name)
    before = {"drained": upstreams.is_drained(replica), "ejected": replica.breaker.out}
    after = {**before, **changes}
    await registry.ask(lambda them: them.note(action, "replica", name, before, after, by=caller.actor))
    return _find(upstreams, name)


def _check_restorable(upstreams: Upstreams, pool: Pool) -> None:
    """Raises Conflict."""
    if any(spec.label == pool.name and upstreams.overrides.is_drained(spec) for spec in upstreams.config.models):
        raise Conflict("Its version is drained: restore that.", "replica")


def _find(upstreams: Upstreams, name: str) -> tuple[Replica, Pool]:
    """Raises NotThere."""
    for replica, (pool, _) in pools(upstreams).items():
        if replica.name == name:
            return replica, pool
    raise NotThere("There is no such replica in this process.", "replica")
