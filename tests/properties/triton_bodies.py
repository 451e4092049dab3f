"""Bodies that ask anything of a text model, and what its inputs may hold: for tests that no other value gets there."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from hypothesis import strategies as st

from engines.api import Kind

NUMBERS = st.one_of(
    st.integers(1, 16), st.floats(0.02, 1), st.floats(0.02, 1),
    st.integers(-3, 3), st.floats(-3, 3), st.floats(allow_nan=False, allow_infinity=False), st.integers(),
    st.sampled_from([2**31 - 1, 2**31, 2**63, 2**64, -(2**63), 1e-320, 1e300, 0.01, 0.0099, 1e-5, -1e-9]),
)  # fmt: skip
WORDS = st.text(max_size=8) | st.sampled_from(["", "\0", "a\0b", "é", "</s>", "\\u0000", "\ufffd"])
LISTS = st.lists(WORDS, max_size=5)
ANYTHING = st.recursive(
    st.none() | st.booleans() | NUMBERS | WORDS,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(WORDS, inner, max_size=3),
    max_leaves=6,
)
SCHEMAS = st.fixed_dictionaries(
    {}, optional={"type": st.sampled_from(["object", "array", "nothing"]), "properties": ANYTHING, "enum": ANYTHING}
)
TOOLS = st.lists(
    st.fixed_dictionaries({"type": st.just("function"), "function": st.fixed_dictionaries({"name": WORDS})}), max_size=2
)
PARTS = st.lists(
    st.fixed_dictionaries({"type": st.sampled_from(["text", "image_url", "input_audio"]), "text": WORDS,
                           "image_url": st.sampled_from([{"url": "data:image/png;base64,AA"}, {"url": "http://a/"}])}),
    min_size=1, max_size=2,
)  # fmt: skip
MEMBERS: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(
        ("max_tokens", "max_completion_tokens", "temperature", "top_p", "top_k", "min_p", "presence_penalty", "seed",
         "frequency_penalty", "repetition_penalty", "min_tokens", "best_of", "top_logprobs", "priority", "n"), NUMBERS),
    **dict.fromkeys(("stop", "bad_words"), LISTS | WORDS),
    "logprobs": st.booleans() | NUMBERS,
    "logit_bias": st.dictionaries(st.sampled_from(["1", "-1", "a"]), NUMBERS, max_size=1),
    "response_format": st.sampled_from([{"type": "text"}, {"type": "json_object"}, {"type": "x"}])
    | SCHEMAS.map(lambda schema: {"type": "json_schema", "json_schema": {"name": "s", "schema": schema}}),
    "guided_json": SCHEMAS, "guided_regex": WORDS, "guided_choice": LISTS, "guided_grammar": WORDS,
    "structured_outputs": st.fixed_dictionaries({"choice": LISTS}) | st.fixed_dictionaries({"regex": WORDS}),
    "tools": TOOLS, "tool_choice": st.sampled_from(["none", "auto", "required", "x", {"type": "function"}]),
    "echo": st.booleans(), "suffix": WORDS, "user": WORDS, "stream": st.booleans(), "unheard_of": ANYTHING,
    "messages": PARTS.map(lambda parts: [{"role": "user", "content": parts}]),
}  # fmt: skip
BASES: dict[Kind, dict[str, Any]] = {
    "chat": {"messages": [{"role": "user", "content": "hi"}], "max_tokens": 16},
    "completion": {"prompt": "hi", "max_tokens": 16},
}


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Kind, dict[str, Any]]:
    """A sound body with a few members that are sound, odd or of another type."""
    kind = draw(st.sampled_from(sorted(BASES)))
    names = draw(st.lists(st.sampled_from(sorted(MEMBERS)), max_size=3, unique=True))
    odd = draw(st.integers(0, 3)) == 0
    return kind, BASES[kind] | {name: draw(ANYTHING if odd else MEMBERS[name]) for name in names}


RANGES: dict[str, Callable[[Any], bool]] = {
    "max_tokens": lambda value: 1 <= value < 2**31,
    "max_new": lambda value: 1 <= value < 2**31,
    "min_tokens": lambda value: value >= 1,
    "top_k": lambda value: 1 <= value < 2**31,
    "best_of": lambda value: 2 <= value <= 128,
    "top_p": lambda value: 0.9e-5 <= value <= 1,
    "temperature": lambda value: value == 0 or 0.9e-5 <= value <= 2,
    "temp": lambda value: value == 0 or 0.9e-5 <= value <= 2,
    "repetition_penalty": lambda value: 0.0099 <= value <= 10,
    "presence_penalty": lambda value: -2 <= value <= 2,
    "frequency_penalty": lambda value: -2 <= value <= 2,
    "guided_decoding_guide_type": lambda value: value in ("json", "json_schema", "regex", "ebnf_grammar"),
    "image_url": lambda value: value.startswith("data:image/"),
    "image_url_input": lambda value: value.startswith("data:image/"),
    **dict.fromkeys(("stop_words", "stop", "bad_words", "guided_decoding_guide", "text_input", "prompt"), bool),
}
UNRANGED = {
    "seed", "stream", "streaming", "return_log_probs", "exclude_input_in_output", "exclude_input_from_output",
    "return_num_input_tokens", "return_num_output_tokens", "return_finish_reason",
}  # fmt: skip


def in_range(tensor: str, value: Any) -> bool:
    """Whether an input of this name may hold it, whatever model it belongs to."""
    name = tensor.removeprefix("sampling_param_").lower()
    return (name in UNRANGED or RANGES[name](value)) and not (isinstance(value, str) and "\0" in value)
