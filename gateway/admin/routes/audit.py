"""Who changed what, and when."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from gateway.admin.routes.answers import EntryPage, answer, documented
from gateway.admin.routes.pages import page
from gateway.store.bounded import BoundedRegistry
from gateway.store.records import PAGE


class EntriesAsked(BaseModel):
    """Parameters of a URL; others are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: int = Field(0, ge=0, le=(1 << 63) - 1, description="What the page before said as `next`.")
    limit: int = Field(100, ge=1, le=PAGE, description="Most entries of this page.")
    object: str | None = Field(None, max_length=300, description="Only changes of what has this name.")


def routes(registry: BoundedRegistry) -> APIRouter:
    """/v1/audit."""
    router = APIRouter(tags=["audit"])

    @router.get("/audit", openapi_extra=documented(EntryPage))
    async def list_entries(asked: Annotated[EntriesAsked, Query()]) -> Response:
        """Every change, in their order."""
        found = await registry.ask(lambda them: them.audit(asked.after, asked.limit, asked.object))
        return answer(page(found, asked.limit, "id"))

    return router
