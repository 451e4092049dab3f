"""Models in their versions: what each weighs and where it runs; weights and drains, which hold in every process."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.admin.routes.answers import ModelList, answer, documented
from gateway.admin.routes.asked import Shares
from gateway.admin.routes.seen import models
from gateway.admin.routes.versions import OF_MODEL, ModelName, VersionName
from gateway.admin.routes.visiting import Caller
from gateway.steering import Steering
from gateway.upstreams import Upstreams

_OF_VERSION = OF_MODEL + "/versions/{version:path}"


def routes(upstreams: Upstreams, steering: Steering) -> APIRouter:
    """The other paths of /v1/models. Answers to changes tell all versions of the model, as they are then."""
    router = APIRouter(tags=["models"])

    def told(model: str) -> Response:
        return answer(ModelList([seen for seen in models(upstreams) if seen.name == model]))

    @router.get("/models", openapi_extra=documented(ModelList))
    async def list_models() -> Response:
        """What callers may name, without aliases: each with its versions, what they weigh, and where they run."""
        return answer(ModelList(list(models(upstreams))))

    @router.put(OF_MODEL + "/weights", openapi_extra=documented(ModelList))
    async def set_weights(caller: Caller, model: ModelName, asked: Shares) -> Response:
        """What each version weighs from now on, whatever the file says."""
        await steering.set_weights(model, asked.root, by=caller.actor)
        return told(model)

    @router.delete(OF_MODEL + "/weights", openapi_extra=documented(ModelList))
    async def clear_weights(caller: Caller, model: ModelName) -> Response:
        """The file's weights hold again."""
        await steering.clear_weights(model, by=caller.actor)
        return told(model)

    @router.post(_OF_VERSION + "/drain", openapi_extra=documented(ModelList))
    async def drain_version(caller: Caller, model: ModelName, version: VersionName) -> Response:
        """It gets no new work, and finishes what it has; its callers go to the other versions."""
        await steering.drain(model, version, by=caller.actor)
        return told(model)

    @router.post(_OF_VERSION + "/restore", openapi_extra=documented(ModelList))
    async def restore_version(caller: Caller, model: ModelName, version: VersionName) -> Response:
        """It gets work again, as its weight says."""
        await steering.restore(model, version, by=caller.actor)
        return told(model)

    return router
