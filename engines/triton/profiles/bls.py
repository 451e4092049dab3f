"""TensorRT-LLM's `tensorrt_llm_bls`, a Python model that calls the others: it adds text, or repeats all of it.

It keeps a stop word that it was told of at the end of its text, and can't be cancelled.
"""

from __future__ import annotations

from typing import ClassVar

from engines.triton.profiles.api import Adapter, ModelFacts, TensorMap
from engines.triton.profiles.legacy import LegacyModel


class Bls(LegacyModel):
    """See the module."""

    name: ClassVar[str] = "bls"

    def __init__(self, facts: ModelFacts, adapter: Adapter | None = None, tensors: TensorMap | None = None) -> None:
        super().__init__(facts, adapter, image="image_url_input")
        self.cumulative = facts.parameters.get("accumulate_tokens", "").strip().lower() in ("true", "1")
