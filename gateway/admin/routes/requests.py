"""Requests that ended lately: why each went where it went."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Path
from starlette.responses import Response

from gateway.accounts import Record
from gateway.admin.routes.answers import Explanation, FailedAttempt, answer, documented
from gateway.recent import Recent
from gateway.replica_metrics import REASONS
from gateway.store.records import NotThere
from gateway.tallies import code_label
from router.fair_queue import RANKS

RequestId = Annotated[str, Path(pattern="^[A-Za-z0-9_-]{1,64}$")]
REJECTED = "rejected"
"""How it is called that a replica refused a request for the caller's mistake, which is no failure of its own."""


def routes(recent: Recent) -> APIRouter:
    """/v1/requests/{request_id}."""
    router = APIRouter(tags=["requests"])

    @router.get("/requests/{request_id}", openapi_extra=documented(Explanation))
    async def explain_request(request_id: RequestId) -> Response:
        """One of the last that ended in this process, by the x-request-id of its answer."""
        record = recent.find(request_id)
        if record is None:
            raise NotThere("It is not among the last requests that ended in this process.", "request_id")
        return answer(_explained(record))

    return router


def _explained(record: Record) -> Explanation:
    return Explanation(
        id=record.id,
        kind=record.kind,
        tenant=record.tenant,
        key=record.key,
        of_class=RANKS[record.rank] if record.tenant else "",
        began=record.unix_ms / 1000,
        model=record.model,
        version=record.version,
        why=record.why if record.version else "",
        fallback=record.fallback,
        replica=record.replica,
        attempts=record.attempts,
        failed=[FailedAttempt(replica, REASONS.get(kind, REJECTED)) for replica, kind in record.failed],
        outcome=record.outcome,
        status=record.status,
        code=code_label(record.code) if record.code else "",
        reason=record.reason,
        client_gone=record.client_gone,
        stream=record.stream,
        body_ms=_ms(record.body_at - record.headers_at) if record.body_at else None,
        queue_ms=_ms(record.queued),
        first_token_ms=_ms(record.first_at - record.headers_at) if record.first_at else None,
        duration_ms=_ms(record.ended_at - record.headers_at),
        prompt_tokens=record.prompt_tokens,
        completion_tokens=record.completion_tokens,
    )


def _ms(seconds: float) -> float:
    return round(seconds * 1000, 3)
