"""TensorRT-LLM's `ensemble` (tokenizer, C++ backend, detokenizer): each answer adds its own text."""

from __future__ import annotations

from typing import ClassVar

from engines.triton.profiles.api import Adapter, ModelFacts, TensorMap
from engines.triton.profiles.legacy import LegacyModel


class Ensemble(LegacyModel):
    """See the module."""

    name: ClassVar[str] = "ensemble"
    cumulative = False

    def __init__(self, facts: ModelFacts, adapter: Adapter | None = None, tensors: TensorMap | None = None) -> None:
        super().__init__(facts, adapter)
