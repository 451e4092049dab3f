"""Versions of models as a whole: what each is and where it runs, set over the file in every process, and cleared."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.admin import roles
from gateway.admin.errors import refusing
from gateway.admin.routes.answers import ModelList, answer, documented
from gateway.admin.routes.asked import VersionEntry
from gateway.admin.routes.seen import models
from gateway.admin.routes.visiting import Caller
from gateway.laying import Laying
from gateway.upstreams import Upstreams

ModelName = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,128}$")]
VersionName = Annotated[str, Path(pattern=r"^[\x21-\x7e]{1,128}$")]
OF_MODEL = "/models/{model:path}"
_OF_VERSION = OF_MODEL + "/versions/{version}"  # without a slash, or what follows one would be taken for its name


def routes(upstreams: Upstreams, laying: Laying) -> APIRouter:
    """Those of /v1/models that say where prompts go. Answers tell all versions of the model, as they are then."""
    router = APIRouter(tags=["models"])

    def told(model: str) -> Response:
        return answer(ModelList([seen for seen in models(upstreams) if seen.name == model]))

    @router.put(_OF_VERSION, openapi_extra=documented(ModelList))
    async def set_version(caller: Caller, model: ModelName, version: VersionName, asked: VersionEntry) -> Response:
        """What it is and where it runs from now on, whatever the file says."""
        roles.require(caller.principal.scopes, roles.ADMIN)
        with refusing(f"{model}@{version}"):
            await laying.set(model, version, asked.root, by=caller.actor)
        return told(model)

    @router.delete(_OF_VERSION, openapi_extra=documented(ModelList))
    async def clear_version(caller: Caller, model: ModelName, version: VersionName) -> Response:
        """The file's holds again, if it has one; what a version that is gone has begun is finished."""
        roles.require(caller.principal.scopes, roles.ADMIN)
        with refusing(f"{model}@{version}"):
            await laying.clear(model, version, by=caller.actor)
        return told(model)

    return router
