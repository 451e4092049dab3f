"""The configuration that this process runs with; and its file, read again."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from engines.api import EngineError
from gateway.admin.errors import unchanged
from gateway.admin.routes.answers import Reloaded, answer, documented
from gateway.admin.routes.visiting import Caller
from gateway.config import ConfigError, showing
from gateway.overriding import section
from gateway.shown import Shown
from gateway.store.bounded import BoundedRegistry


def routes(seen: Shown, registry: BoundedRegistry) -> APIRouter:
    """/v1/config and /v1/reload."""
    router = APIRouter(tags=["config"])

    @router.get("/config", openapi_extra=documented(None))
    async def read_config() -> Response:
        """Every setting with what holds, also what was set here, secrets blanked; no weights or drains."""
        config = seen.upstreams.config
        held = {"plans": tuple(seen.quotas.plans.values()), "overrides": section(seen.quotas.overrides)}
        quotas = config.quotas.model_copy(update=held)
        return answer(showing.shown(config.model_copy(update={"quotas": quotas}), effective=True))

    @router.post("/reload", openapi_extra=documented(Reloaded))
    async def reload(caller: Caller) -> Response:
        """Read the file again, and take over what may change live; one with mistakes changes nothing."""
        try:
            done = await seen.reloading.reload()
        except (ConfigError, EngineError) as error:
            raise unchanged(error) from None
        parts = {name: getattr(done, name) for name in Reloaded.__struct_fields__}
        await registry.ask(lambda them: them.note("reload", "config", "config", None, parts, by=caller.actor))
        return answer(Reloaded(**parts))

    return router
