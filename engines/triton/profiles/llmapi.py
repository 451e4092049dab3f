"""TensorRT-LLM's model around its LLM API: `sampling_param_*` inputs, no batch dimension, all text so far each time.

It has no count of tokens, no log probabilities, no guided decoding, one text a request, and cuts at 32 tokens unless
told otherwise. Numbers among its outputs come as strings; none of them is asked for.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import ClassVar

from engines.generating.sampling import Value, is_greedy
from engines.text.asked import Asked
from engines.text.members import invalid
from engines.triton.profiles.api import Adapter, ModelFacts, Step, TensorMap
from engines.triton.profiles.inputs import require_output
from engines.triton.profiles.text_model import Names, TextModel
from engines.triton.tensors import Tensor, read_text

NAMES = Names(
    prompt="text_input",
    parameters={
        "max_tokens": "sampling_param_max_tokens",
        "temperature": "sampling_param_temperature",
        "top_p": "sampling_param_top_p",
        "top_k": "sampling_param_top_k",
        "presence_penalty": "sampling_param_presence_penalty",
        "frequency_penalty": "sampling_param_frequency_penalty",
        "seed": "sampling_param_seed",
        "best_of": "sampling_param_best_of",
        "stops": "sampling_param_stop",
    },
    image="image_url",
)


class LlmApi(TextModel):
    """See the module."""

    name: ClassVar[str] = "llmapi"
    cumulative = True
    expected: Mapping[str, str] = {"text_output": "BYTES", "finish_reason": "BYTES"}

    def __init__(self, facts: ModelFacts, adapter: Adapter | None = None, tensors: TensorMap | None = None) -> None:
        constants: dict[str, Value] = {
            "streaming": facts.decoupled,
            "sampling_param_exclude_input_from_output": True,
            "return_finish_reason": True,
        }
        super().__init__(facts, NAMES, constants)
        self._inputs.needed("sampling_param_max_tokens", int)
        require_output(facts, "text_output", "BYTES")
        if adapter is not None:
            if not adapter.path:
                raise ValueError(f"The adapter '{adapter.name}' needs the path where the server finds it.")
            self._constants += tuple(
                self._inputs.needed(name, type(value)).write(value)
                for name, value in (("lora_id", adapter.id), ("lora_name", adapter.name), ("lora_path", adapter.path))
            )
        self._whole = self._inputs.constants({"streaming": False})
        self._inputs.check_complete()

    def check(self, asked: Asked) -> None:
        """See `Profile`."""
        if asked.best_of is not None and is_greedy(asked):
            raise invalid("best_of", "all would be the same, unless 'temperature', 'top_p' or 'top_k' leaves a choice")
        super().check(asked)

    def tensors(self, asked: Asked, prompt: str) -> list[Tensor]:
        """See `Profile`. The best of several can't be streamed: which it is shows at the end."""
        tensors = super().tensors(asked, prompt)
        if asked.best_of is None:
            return tensors
        return [*(tensor for tensor in tensors if tensor.name != "streaming"), *self._whole]

    def step(self, outputs: Mapping[str, bytes]) -> Step:
        """See `Profile`."""
        text = outputs.get("text_output")
        if text is None:
            raise ValueError("The answer has no text.")
        reason = outputs.get("finish_reason")
        return Step(read_text(text), None if reason is None else _finish(read_text(reason)))


def _finish(reason: bytes) -> str | None:
    """While the text goes on, the server says Python's None, in letters."""
    return None if reason in (b"", b"None") else reason.decode("ascii", "replace")
