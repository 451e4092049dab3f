"""The engine gauges that TensorRT-LLM's C++ backend exports, for an engine of 64 places and 1024 cache blocks."""

from __future__ import annotations

from typing import Any

from loadtests.triton.models.stub import backend

_PLACES, _BLOCKS, _BLOCKS_EACH = 64, 1024, 8


class Gauges:
    """`nv_trt_llm_request_metrics` and `nv_trt_llm_kv_cache_block_metrics` of one model."""

    def __init__(self, model: str) -> None:
        self._active = 0
        self._requests = _family("nv_trt_llm_request_metrics", "requests of the engine")
        self._blocks = _family("nv_trt_llm_kv_cache_block_metrics", "blocks of the cache")
        self._model = model
        self._metrics: dict[str, Any] = {}
        self.add(0)

    def __repr__(self) -> str:
        return f"<Gauges {self._active} active>"

    def add(self, requests: int) -> None:
        """So many more are being answered."""
        self._active += requests
        scheduled = min(self._active, _PLACES)
        used = min(scheduled * _BLOCKS_EACH, _BLOCKS)
        said: dict[str, float] = {"active": self._active, "max": _PLACES, "scheduled": scheduled, "context": 0}
        for kind, value in (said | {"waiting": self._active - scheduled}).items():
            self._set(self._requests, "request_type", kind, value)
        blocks: dict[str, float] = {"max": _BLOCKS, "free": _BLOCKS - used, "used": used, "tokens_per": 64, "reused": 0}
        for kind, value in (blocks | {"fraction": used / _BLOCKS}).items():
            self._set(self._blocks, "kv_cache_block_type", kind, value)

    def _set(self, family: Any, label: str, kind: str, value: float) -> None:
        key = f"{label}={kind}"
        if key not in self._metrics:
            self._metrics[key] = family.Metric(labels={"model": self._model, "version": "1", label: kind})
        self._metrics[key].set(value)


def _family(name: str, description: str) -> Any:
    pb = backend()
    return pb.MetricFamily(name=name, description=description, kind=pb.MetricFamily.GAUGE)
