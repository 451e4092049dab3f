"""From what is asked to `SamplingParams`: by name, always with a cap, and nothing that is left to their defaults.

What they leave out means other things than OpenAI's does: without `top_p` and `top_k` the likeliest token is taken,
whatever the temperature; without a seed the same one is used each time; without a cap there are 32 tokens.
"""

from __future__ import annotations

from collections.abc import Mapping

from engines.api import Rejected
from engines.generating.sampling import LEAST_REPETITION, settled
from engines.tensorrt_llm.wire import Adapter, Wanted
from engines.text.asked import Asked
from engines.text.guides import Form, Guide
from engines.text.members import invalid, unsupported

Value = str | int | float | bool | list[str]

NAMES: Mapping[str, str] = {"stops": "stop", "bad_words": "bad"}
"""Parameters that go by another name in `SamplingParams`."""

FORMS: Mapping[Form, str] = {"json": "json_object", "json_schema": "json", "regex": "regex", "ebnf_grammar": "grammar"}
"""The field of `GuidedDecodingParams` for each form."""


def with_defaults(asked: Asked) -> Asked:
    """OpenAI's temperature where there is none: whatever else is said, a token is drawn then, and needs a seed."""
    if asked.temperature is None:
        asked.temperature = 1.0
    return asked


class Sampling:
    """How texts are asked for. `guided` tells whether the model was loaded with a backend for guided decoding."""

    def __init__(self, adapter: Adapter | None = None, *, guided: bool = False) -> None:
        self._adapter = adapter
        self._guided = guided

    def __repr__(self) -> str:
        return f"<Sampling{' guided' if self._guided else ''}{f' by {self._adapter.name}' if self._adapter else ''}>"

    def check(self, asked: Asked) -> None:
        """Raises Rejected naming the first parameter that can't be honoured."""
        if asked.kind == "embedding":
            raise Rejected("This model does not make embeddings.", param="model", code="unsupported_endpoint")
        if asked.logit_bias is not None:
            raise unsupported("logit_bias")
        if asked.top_logprobs:
            raise unsupported("top_logprobs" if asked.kind == "chat" else "logprobs")
        if asked.guide is not None and not self._guided:
            raise unsupported(asked.guide.param)
        if asked.images:
            raise unsupported(asked.images[0].param, "This model reads text only.")
        if asked.repetition_penalty is not None and asked.repetition_penalty < LEAST_REPETITION:
            raise invalid("repetition_penalty", f"this model takes no less than {LEAST_REPETITION}")
        if asked.best_of is not None and fields(asked).get("top_k") == 1:
            raise invalid("best_of", "there is no choice among likeliest texts")

    def wanted(self, asked: Asked, prompt: str) -> Wanted:
        """One text after one prompt, of what has been checked.

        The best of several can't be streamed: which it is shows at the end.
        """
        return Wanted(
            prompt,
            fields(asked),
            None if asked.guide is None else _guide(asked.guide),
            self._adapter,
            stream=asked.best_of is None,
        )


def fields(asked: Asked) -> dict[str, Value]:
    """Fields of `SamplingParams` for one text."""
    out: dict[str, Value] = {}
    for parameter, values in settled(asked, has_top_k=True).items():
        name = NAMES.get(parameter, parameter)
        out[name] = [str(one) for one in values] if parameter in NAMES else values[0]
    if out.get("top_k") != 1:  # else there is nothing to draw
        out.setdefault("top_p", 1.0)
    if asked.logprobs:
        out["logprobs"] = 1
    if asked.stops:
        # The LLM takes back tokens, but not what it has already said of a stop string: we know which is one.
        out["include_stop_str_in_output"] = True
    return out


def _guide(guide: Guide) -> tuple[str, str | bool]:
    return FORMS[guide.form], guide.text or True
