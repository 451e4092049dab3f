"""A Triton server's page of metrics as the load of one model: its queue, and what TensorRT-LLM adds where it runs.

`nv_trt_llm_*` come from TensorRT-LLM's C++ backend alone, and speak of the one engine in the server. A model of its
Python API has nothing but Triton's own queue.
"""

from __future__ import annotations

from engines.api import Load
from engines.gauges import gauges
from engines.load import capacity

PENDING = "nv_inference_pending_request_count"
REQUESTS = "nv_trt_llm_request_metrics"
BLOCKS = "nv_trt_llm_kv_cache_block_metrics"


def read(page: bytes, model: str) -> Load | None:
    """The load of `model`, for an ensemble the step that generates; None if the page says nothing of it.

    Raises ValueError.
    """
    pending: int | None = None
    requests: dict[str, float] = {}
    blocks: dict[str, float] = {}
    for name, labels, value in gauges(page, (PENDING, REQUESTS, BLOCKS)):
        if name == PENDING and labels.get("model") == model:
            pending = (pending or 0) + int(value)  # versions add up
        elif name == REQUESTS:
            requests[labels.get("request_type", "")] = value
        elif name == BLOCKS:
            blocks[labels.get("kv_cache_block_type", "")] = value
    running, inside = _requests(requests)
    kv_used = _kv_used(blocks)
    takes = capacity(requests.get("max"), blocks.get("max"), blocks.get("tokens_per"))
    if pending is None and running is None and kv_used is None:
        return None
    waiting = None if pending is None and inside is None else (pending or 0) + (inside or 0)
    return Load(running, waiting, kv_used, takes)


def _requests(told: dict[str, float]) -> tuple[int | None, int | None]:
    """Those that iterate, and those that the engine has taken in and not begun."""
    active, scheduled = told.get("active"), told.get("scheduled")
    if active is None or scheduled is None:
        return None, None
    return int(scheduled), int(told.get("waiting", max(0.0, active - scheduled)))


def _kv_used(told: dict[str, float]) -> float | None:
    if told.get("max"):
        return min(1.0, told.get("used", 0.0) / told["max"])
    return min(1.0, told["fraction"]) if "fraction" in told else None
