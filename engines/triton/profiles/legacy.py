"""The inputs and outputs that `ensemble` and `tensorrt_llm_bls` share: TensorRT-LLM's C++ backend behind text.

Both say how many tokens each answer has, and neither says why a text ended. Optional outputs come only if asked for.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from engines.generating.sampling import Value
from engines.triton.profiles.api import Adapter, ModelFacts, Step
from engines.triton.profiles.inputs import require_output
from engines.triton.profiles.text_model import Names, TextModel
from engines.triton.tensors import read_count, read_floats, read_text

PARAMETERS: Mapping[str, str] = {
    "max_tokens": "max_tokens",
    "temperature": "temperature",
    "top_p": "top_p",
    "top_k": "top_k",
    "repetition_penalty": "repetition_penalty",
    "presence_penalty": "presence_penalty",
    "frequency_penalty": "frequency_penalty",
    "min_tokens": "min_tokens",
    "seed": "seed",
    "bad_words": "bad_words",
    "stops": "stop_words",
    "logprobs": "return_log_probs",
}

LEAST_LOGPROB = -9999.0
"""What OpenAI says for a token that could not have come; JSON knows no infinity."""


class LegacyModel(TextModel):
    """What both do alike."""

    expected: Mapping[str, str] = {
        "text_output": "BYTES",
        "num_input_tokens": "INT32",
        "num_output_tokens": "INT32",
        "output_log_probs": "FP32",
    }

    def __init__(self, facts: ModelFacts, adapter: Adapter | None, *, image: str = "") -> None:
        names = Names("text_input", PARAMETERS, "guided_decoding_guide_type", "guided_decoding_guide", image)
        constants: dict[str, Value] = {
            "stream": facts.decoupled,
            "exclude_input_in_output": True,
            "return_num_input_tokens": True,
            "return_num_output_tokens": True,
        }
        super().__init__(facts, names, constants)
        self._inputs.needed("max_tokens", int)
        require_output(facts, "text_output", "BYTES")
        if adapter is not None:  # the weights must have been sent to the server before, by whoever loads them
            self._constants += (self._inputs.needed("lora_task_id", int).write(adapter.id),)
        self._inputs.check_complete()

    def step(self, outputs: Mapping[str, bytes]) -> Step:
        """See `Profile`."""
        text = outputs.get("text_output")
        if text is None:
            raise ValueError("The answer has no text.")
        step = Step(read_text(text))
        if (content := outputs.get("num_input_tokens")) is not None:
            step.prompt_tokens = read_count(content)
        if (content := outputs.get("num_output_tokens")) is not None:
            step.completion_tokens = read_count(content)
        if (content := outputs.get("output_log_probs")) is not None:
            step.logprobs = tuple(map(_logprob, read_floats(content)))
        return step


def _logprob(value: float) -> float:
    if math.isnan(value):
        raise ValueError("A log probability is not a number.")
    return max(value, LEAST_LOGPROB)
