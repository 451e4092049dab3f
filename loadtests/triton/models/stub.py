"""Triton's module for models in Python: it exists only in the processes that Triton starts for them."""

from __future__ import annotations

from importlib import import_module
from typing import Any


def backend() -> Any:
    """`Tensor`, `InferenceResponse`, `TritonError` and the like; Triton ships no types for them."""
    return import_module("triton_python_backend_utils")
