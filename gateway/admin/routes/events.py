"""What became of replicas: each change of a state, as this process has seen it."""

from __future__ import annotations

import time
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from starlette.responses import Response

from gateway.admin.routes.answers import EventPage, SeenEvent, answer, documented
from gateway.admin.routes.pages import page
from gateway.store.records import PAGE
from router.events import Events


class EventsAsked(BaseModel):
    """Parameters of a URL; others are mistakes."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    after: int = Field(0, ge=0, le=(1 << 63) - 1, description="Only those with a higher number.")
    limit: int = Field(100, ge=1, le=PAGE, description="Most events of this page.")


def routes(events: Events) -> APIRouter:
    """/v1/events."""
    router = APIRouter(tags=["events"])

    @router.get("/events", openapi_extra=documented(EventPage))
    async def list_events(asked: Annotated[EventsAsked, Query()]) -> Response:
        """The last ones, in their order; numbers begin with 1 at the start of the process."""
        unix = time.time() - time.monotonic()  # changes are told in seconds of the latter
        seen = [
            SeenEvent(number, round(unix + one.at, 3), one.replica, one.before, one.after, one.reason)
            for number, one in events.since(asked.after)[: asked.limit]
        ]
        return answer(page(seen, asked.limit, "number"))

    return router
