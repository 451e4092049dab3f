"""Whatever is asked of a model behind Triton is refused by name, or becomes inputs that it declares, in its ranges.

300 bodies a run; as many as a hypothesis profile of more examples says, if one is loaded.
"""

from __future__ import annotations

import math
import re
import struct
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import event, example, given, settings
from hypothesis import strategies as st

from engines.api import Call, Kind, Rejected
from engines.text.asked import read
from engines.triton.profiles import PROFILES
from engines.triton.profiles.api import ModelFacts, TensorMap
from engines.triton.tensors import Tensor
from gateway.prompt import Invalid, parse
from tests.support.golden_table import COLUMNS, TABLE, facts

BODIES = settings(max_examples=max(300, settings.default.max_examples if settings.default else 0))

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


WITHOUT_TOP_K = replace(
    facts("ensemble"), inputs={name: it for name, it in facts("ensemble").inputs.items() if name != "top_k"}
)


@st.composite
def bodies(draw: st.DrawFn) -> tuple[Kind, dict[str, Any]]:
    """A sound body with a few members that are sound, odd or of another type."""
    kind = draw(st.sampled_from(sorted(BASES)))
    names = draw(st.lists(st.sampled_from(sorted(MEMBERS)), max_size=3, unique=True))
    odd = draw(st.integers(0, 3)) == 0
    return kind, BASES[kind] | {name: draw(ANYTHING if odd else MEMBERS[name]) for name in names}


@st.composite
def models(draw: st.DrawFn) -> ModelFacts:
    """A published model, that of an older or newer release with fewer inputs, in a batch or not."""
    it = facts(draw(st.sampled_from(COLUMNS)))
    needed = {"text_input", "max_tokens", "sampling_param_max_tokens", "PROMPT", "MAX_NEW", "TEMP", "SEED"}
    gone = draw(st.lists(st.sampled_from(sorted(it.inputs.keys() - needed | {""})), max_size=2))
    inputs = {name: declared for name, declared in it.inputs.items() if name not in gone}
    return replace(it, inputs=inputs, max_batch_size=draw(st.sampled_from([0, 8])), decoupled=draw(st.booleans()))


def outcome(model: ModelFacts, call: Call) -> list[Tensor] | Rejected:
    """An exception of any other type fails the test."""
    told = TABLE["models"][model.name].get("map")
    profile = PROFILES[model.name](model, None, None if told is None else TensorMap(**told))
    try:
        asked = read(call)
        profile.check(asked)
        return profile.tensors(asked, "prompt")
    except Rejected as refused:
        return refused


@BODIES
@given(bodies(), models())
@example(("chat", BASES["chat"] | {"top_p": 1e-320}), facts("ensemble"))
@example(("chat", BASES["chat"] | {"top_p": 0}), WITHOUT_TOP_K)
@example(("chat", BASES["chat"] | {"top_p": 1e-5}), facts("llmapi"))
@example(("chat", BASES["chat"] | {"repetition_penalty": 0.0099}), facts("bls"))
@example(("chat", BASES["chat"] | {"seed": -(2**63)}), facts("generic"))
def test_p14_a_body_is_refused_by_name_or_becomes_what_the_model_takes(
    asked: tuple[Kind, dict[str, Any]], model: ModelFacts
) -> None:
    kind, body = asked
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in ({"model": "m"} | body).items()}
    got = outcome(model, Call("id", kind, fields, "m", stream=False, show_usage=False, deadline=0.0))
    event("refused" if isinstance(got, Rejected) else "sent")
    if isinstance(got, Rejected):
        check_refusal(got, body)
    else:
        check_tensors(got, model)


@BODIES
@given(bodies(), models())
def test_p14_what_the_gateway_lets_through_is_refused_by_name_or_becomes_what_the_model_takes(
    asked: tuple[Kind, dict[str, Any]], model: ModelFacts
) -> None:
    kind, body = asked
    try:
        prompt = parse(kind, msgspec.json.encode({"model": "m"} | body))
    except Invalid:
        event("refused by the gateway")
        return
    fields = prompt.upstream_fields("m", "max_tokens", 16)
    got = outcome(model, Call("id", kind, fields, "m", prompt.stream, prompt.show_usage, 0.0))
    event("refused" if isinstance(got, Rejected) else "sent")
    if isinstance(got, Rejected):
        check_refusal(got, body | {"max_tokens": 0})
    else:
        check_tensors(got, model)


def check_refusal(refused: Rejected, body: dict[str, Any]) -> None:
    assert refused.param
    assert re.split(r"[.\[]", refused.param)[0] in body
    assert refused.code
    assert len(refused.message) < 600


FORMATS = {"INT32": "i", "INT64": "q", "UINT64": "Q", "FP32": "f", "BOOL": "?"}
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


def check_tensors(tensors: list[Tensor], model: ModelFacts) -> None:
    values = {tensor.name: check_tensor(tensor, model) for tensor in tensors}
    assert len(values) == len(tensors)
    assert {name for name, declared in model.inputs.items() if not declared.optional} <= values.keys()
    if "min_tokens" in values:
        assert values["min_tokens"] <= values["max_tokens"]
    for tensor, found in values.items():
        name = tensor.removeprefix("sampling_param_").lower()
        for value in found:
            assert name in UNRANGED or RANGES[name](value), (name, value)
            assert not isinstance(value, str) or "\0" not in value


def check_tensor(tensor: Tensor, model: ModelFacts) -> list[Any]:
    """The values in it, which fill its shape, which is as declared."""
    declared = model.inputs[tensor.name]
    shape = tensor.shape
    if model.max_batch_size:
        assert shape[0] == 1
        shape = shape[1:]
    assert len(shape) == len(declared.dims)
    assert all(size == of or (of == -1 and size > 0) for size, of in zip(shape, declared.dims, strict=True))
    assert tensor.datatype == declared.datatype
    values = texts(tensor.content) if tensor.datatype == "BYTES" else numbers(tensor)
    assert len(values) == math.prod(tensor.shape)
    return values


def numbers(tensor: Tensor) -> list[Any]:
    one = struct.Struct("<" + FORMATS[tensor.datatype])
    return [value for (value,) in one.iter_unpack(tensor.content)]


def texts(content: bytes) -> list[Any]:
    found = []
    while content:
        end = 4 + int.from_bytes(content[:4], "little")
        assert end <= len(content)
        found.append(content[4:end].decode())
        content = content[end:]
    return found
