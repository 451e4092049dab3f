"""Reads an inference request against what its model declares, and refuses it in the words of the real server."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from math import prod
from typing import Any

import msgspec

from loadtests.fleet.triton.contracts import Model, Tensor

FORMATS = {"BOOL": "?", "INT32": "i", "INT64": "q", "UINT64": "Q", "FP32": "f", "FP16": "e"}
_CONTENTS = {
    "BYTES": "bytes_contents",
    "BOOL": "bool_contents",
    "INT32": "int_contents",
    "INT64": "int64_contents",
    "UINT64": "uint64_contents",
    "FP32": "fp32_contents",
}
"""Where the protocol carries values that do not come raw."""

Values = dict[str, list[Any]]
"""By input: its elements in order."""


class Refused(Exception):
    """Said in band: the request never got to the model."""


def numbers(raw: bytes, datatype: str) -> list[Any]:
    kind = FORMATS[datatype]
    return list(struct.unpack(f"<{len(raw) // struct.calcsize(kind)}{kind}", raw))


def strings(raw: bytes) -> list[bytes]:
    """Elements with their length in front, as four bytes."""
    found, at = [], 0
    while at < len(raw):
        (size,) = struct.unpack_from("<I", raw, at)
        at += 4
        if at + size > len(raw):
            raise struct.error("an element ends after its tensor")
        found.append(raw[at : at + size])
        at += size
    return found


def read(model: Model, request: Any) -> Values:
    """The values of a `ModelInferRequest`'s inputs."""
    prefix = f"[request id: {request.id or '<id_unknown>'}] "
    named = [one.name for one in request.inputs]
    for name in named:
        if name not in model.inputs:
            raise Refused(f"{prefix}unexpected inference input '{name}' for model '{model.name}'")
    missing = [name for name in model.required if name not in named]
    if missing:
        raise Refused(prefix + _missing(model, named, missing))
    for name in (one.name for one in request.outputs):
        if name not in model.outputs:
            raise Refused(f"{prefix}unexpected inference output '{name}' for model '{model.name}'")
    raws = list(request.raw_input_contents) or [None] * len(named)
    if len(raws) != len(named):
        raise Refused(f"{prefix}expected {len(named)} raw input contents but got {len(raws)} for model '{model.name}'")
    return {
        one.name: _values(prefix, model, model.inputs[one.name], one, raw)
        for one, raw in zip(request.inputs, raws, strict=True)
    }


def _missing(model: Model, named: list[str], missing: list[str]) -> str:
    least, most = len(model.required), len(model.inputs)
    return (
        f"expected number of inputs between {least} and {most} but got {len(named)} inputs for model '{model.name}'. "
        f"Got input(s) {named}, but missing required input(s) {missing}. Please provide all required input(s)."
    )


def _values(prefix: str, model: Model, declared: Tensor, got: Any, raw: bytes | None) -> list[Any]:
    name, shape = declared.name, tuple(got.shape)
    if got.datatype != declared.datatype:
        raise Refused(
            f"{prefix}inference input '{name}' data-type is '{got.datatype}', but model '{model.name}' expects "
            f"'{declared.datatype}'"
        )
    wanted = (-1, *declared.dims) if model.max_batch_size else declared.dims
    if not _fits(shape, wanted):
        raise Refused(
            f"{prefix}unexpected shape for input '{name}' for model '{model.name}'. Expected {_listed(wanted)}, got "
            f"{_listed(shape)}. NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension "
            "to be prepended to each input shape. If you want to specify the full shape including the batch dim in "
            "your input dims config, try setting max_batch_size to zero. See the model configuration docs for more "
            "info on max_batch_size."
        )
    try:
        if raw is None:
            values = list(getattr(got.contents, _CONTENTS[declared.datatype]))
        else:
            values = strings(raw) if declared.datatype == "BYTES" else numbers(raw, declared.datatype)
    except struct.error:
        values = []
    if len(values) != prod(shape):
        raise Refused(
            f"{prefix}unexpected number of elements {len(values)} for inference input '{name}', expecting {prod(shape)}"
        )
    return values


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(w in (-1, s) for s, w in zip(shape, wanted, strict=True))


def _listed(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def logged(request: Any, values: Values | None) -> bytes:
    """The request as JSON, for the log: `tensors` hold plain values, a single one instead of a list of one."""
    tensors = {name: [_plain(one) for one in many] for name, many in (values or {}).items()}
    return msgspec.json.encode(
        {
            "model": request.model_name,
            "version": request.model_version,
            "id": request.id,
            "parameters": {
                name: getattr(value, value.WhichOneof("parameter_choice") or "string_param")
                for name, value in request.parameters.items()
            },
            "tensors": {name: many[0] if len(many) == 1 else many for name, many in tensors.items()},
            "outputs": [one.name for one in request.outputs],
        }
    )


def _plain(value: Any) -> Any:
    return value.decode(errors="backslashreplace") if isinstance(value, bytes) else value
