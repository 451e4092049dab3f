"""Whatever is asked of a model behind Triton is refused by name, or becomes inputs that it declares, in its ranges.

300 bodies a run; as many as a hypothesis profile of more examples says, if one is loaded.
"""

from __future__ import annotations

import math
import re
import struct
from dataclasses import replace
from typing import Any

import msgspec
from hypothesis import event, example, given
from hypothesis import strategies as st

from engines.api import Call, Kind, Rejected
from engines.text.asked import read
from engines.triton.profiles import PROFILES
from engines.triton.profiles.api import ModelFacts, TensorMap
from engines.triton.tensors import Tensor
from gateway.prompt import Invalid, parse
from tests.properties.triton_bodies import BASES, bodies, in_range
from tests.support.examples import thorough
from tests.support.golden_table import COLUMNS, TABLE, facts

WITHOUT_TOP_K = replace(
    facts("ensemble"), inputs={name: it for name, it in facts("ensemble").inputs.items() if name != "top_k"}
)


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


@thorough(300)
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


@thorough(300)
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


def check_tensors(tensors: list[Tensor], model: ModelFacts) -> None:
    values = {tensor.name: check_tensor(tensor, model) for tensor in tensors}
    assert len(values) == len(tensors)
    assert {name for name, declared in model.inputs.items() if not declared.optional} <= values.keys()
    if "min_tokens" in values:
        assert values["min_tokens"] <= values["max_tokens"]
    for tensor, found in values.items():
        for value in found:
            assert in_range(tensor, value), (tensor, value)


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
