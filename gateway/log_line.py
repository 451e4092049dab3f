"""What is logged of one request."""

from __future__ import annotations

import msgspec


class Line(msgspec.Struct, gc=False, tag_field="event", tag="request"):
    """See `docs/guides/observability.md`. Null stands for what did not happen."""

    time: str
    id: str
    client_request_id: str
    kind: str
    model: str
    version: str
    why: str
    fallback: str
    replica: str
    stream: bool
    status: int
    code: str
    reason: str
    outcome: str
    client_gone: bool
    attempts: int
    duration_ms: float
    body_ms: float | None
    queue_ms: float
    first_token_ms: float | None
    overhead_ms: float
    gap_max_ms: float
    chunks: int
    body_bytes: int
    sent_bytes: int
    prompt_tokens: int
    completion_tokens: int
    usage_exact: bool
    output_cap: int
    cut: bool
    tenant: str
    key: str
    of_class: str = msgspec.field(name="class")
