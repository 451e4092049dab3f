"""Any model that turns text into text, or into a vector, by the names that the configuration gives its tensors."""

from __future__ import annotations

import math
import sys
from array import array
from collections.abc import Mapping
from typing import ClassVar

from engines.api import Rejected
from engines.text.asked import Asked
from engines.text.members import unsupported
from engines.triton.profiles.api import Adapter, ModelFacts, Step, TensorMap
from engines.triton.profiles.inputs import PARAMETERS, Inputs, require_output
from engines.triton.profiles.text_model import Names, TextModel
from engines.triton.tensors import Tensor, read_count, read_text

MAPPED = PARAMETERS.keys() - {"best_of", "logprobs"}
"""What an operator can name an input for: not what also changes how the answer is to be read."""


class Generic(TextModel):
    """Text to text. Without an input for `max_tokens` the gateway counts, and ends the text itself."""

    name: ClassVar[str] = "generic"

    def __init__(self, facts: ModelFacts, adapter: Adapter | None = None, tensors: TensorMap | None = None) -> None:
        _refuse_adapter(adapter)
        self._map = tensors or TensorMap()
        if strange := self._map.parameters.keys() - MAPPED:
            raise ValueError(f"No input can be named for {', '.join(sorted(strange))}.")
        super().__init__(facts, Names(self._map.text_input, self._map.parameters), {})
        for name in self._map.parameters.values():
            if name not in facts.inputs:
                raise ValueError(f"The model '{facts.name}' has no input '{name}'.")
        self.cumulative = self._map.cumulative
        counts = (self._map.prompt_tokens, self._map.completion_tokens)
        texts = (self._map.text_output, self._map.finish_reason)
        self.expected: Mapping[str, str] = {name: "BYTES" for name in texts if name} | {
            name: "INT32" for name in counts if name
        }
        for name, datatype in self.expected.items():
            require_output(facts, name, datatype)
        self._inputs.check_complete()

    def step(self, outputs: Mapping[str, bytes]) -> Step:
        """See `Profile`."""
        names = self._map
        text = outputs.get(names.text_output)
        if text is None:
            raise ValueError("The answer has no text.")
        step = Step(read_text(text))
        if (content := outputs.get(names.finish_reason)) is not None:
            step.finish = read_text(content).decode("ascii", "replace") or None
        if (content := outputs.get(names.prompt_tokens)) is not None:
            step.prompt_tokens = read_count(content)
        if (content := outputs.get(names.completion_tokens)) is not None:
            step.completion_tokens = read_count(content)
        return step


class GenericEmbedding:
    """Text to a vector, one text a request: Triton's own batching puts requests together."""

    name: ClassVar[str] = "generic"
    embeds: ClassVar[bool] = True
    cumulative = False
    seeded = False
    capped = True

    def __init__(self, facts: ModelFacts, adapter: Adapter | None = None, tensors: TensorMap | None = None) -> None:
        _refuse_adapter(adapter)
        names = tensors or TensorMap(embedding="embedding")
        self._inputs = Inputs(facts, {})
        self._text = self._inputs.needed(names.text_input, str)
        self._output = names.embedding
        require_output(facts, self._output, "FP32")
        self._inputs.check_complete()
        self._width = facts.outputs[self._output].dims[-1] if facts.outputs[self._output].dims else -1
        self.expected: Mapping[str, str] = {self._output: "FP32"}

    def __repr__(self) -> str:
        return f"<GenericEmbedding {self._inputs!r}, {self._width} numbers>"

    def check(self, asked: Asked) -> None:
        """See `Profile`. Dimensions may be asked for, but only those that there are."""
        if asked.kind != "embedding":
            raise Rejected("This model only makes embeddings.", param="model", code="unsupported_endpoint")
        if asked.dimensions is not None and asked.dimensions != self._width:
            raise unsupported("dimensions")

    def tensors(self, asked: Asked, prompt: str) -> list[Tensor]:
        """See `Profile`."""
        return [self._text.write(prompt)]

    def step(self, outputs: Mapping[str, bytes]) -> Step:
        """See `Profile`."""
        raise ValueError("A model for embeddings makes no text.")

    def vector(self, outputs: Mapping[str, bytes]) -> array[float]:
        """See `Profile`."""
        content = outputs.get(self._output)
        if not content or len(content) % 4 or self._width not in (-1, len(content) // 4):
            raise ValueError("The answer has no vector of the right length.")
        vector = array("f", content)
        if sys.byteorder == "big":
            vector.byteswap()
        if not math.isfinite(sum(vector)):  # as doubles they can't add up to more than there is
            raise ValueError("The answer's vector has numbers that are none.")
        return vector


def generic(
    facts: ModelFacts, adapter: Adapter | None = None, tensors: TensorMap | None = None
) -> Generic | GenericEmbedding:
    """For text or for embeddings, as the map says."""
    kind = GenericEmbedding if tensors is not None and tensors.embedding else Generic
    return kind(facts, adapter, tensors)


def _refuse_adapter(adapter: Adapter | None) -> None:
    if adapter is not None:
        raise ValueError("Adapters are for TensorRT-LLM's own models.")
