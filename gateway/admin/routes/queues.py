"""The queues in front of versions: who waits in this process, and who was refused."""

from __future__ import annotations

from fastapi import APIRouter
from starlette.responses import Response

from gateway.admin.routes.answers import answer, documented
from gateway.admin.routes.queue_answers import QueueList
from gateway.admin.routes.seen import queues
from gateway.upstreams import Upstreams


def routes(upstreams: Upstreams) -> APIRouter:
    """/v1/queues."""
    router = APIRouter(tags=["queues"])

    @router.get("/queues", openapi_extra=documented(QueueList))
    async def list_queues() -> Response:
        """How many wait for each version, by class, what share of it each tenant has had, and who was refused."""
        return answer(QueueList(list(queues(upstreams))))

    return router
