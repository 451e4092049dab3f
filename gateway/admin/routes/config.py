"""The configuration that this process runs with."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.admin.routes.answers import answer, documented
from gateway.config import Config
from gateway.config.showing import shown


def routes(config: Config) -> APIRouter:
    """/v1/config."""
    router = APIRouter(tags=["config"])

    @router.get("/config", openapi_extra=documented(None))
    async def read_config() -> Response:
        """Every setting with what holds, secrets blanked."""
        return answer(shown(config, effective=True))

    return router
