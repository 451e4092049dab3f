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

_BATCHED = (
    "NOTE: Setting a non-zero max_batch_size in the model config requires a batch dimension to be prepended to each "
    "input shape. If you want to specify the full shape including the batch dim in your input dims config, try setting "
    "max_batch_size to zero. See the model configuration docs for more info on max_batch_size."
)

Values = dict[str, list[Any]]
"""By input: its elements in order."""


class Refused(Exception):
    """Said in band: the request never got to the model, and so nothing else is said."""


class Failed(Exception):
    """Said in band by the model, and followed by its final."""


def strings(raw: bytes, name: str) -> list[bytes]:
    """Elements with their length in front, as four bytes."""
    found, at = [], 0
    while at < len(raw):
        size = int.from_bytes(raw[at : at + 4], "little")
        at += 4
        if at + size > len(raw):
            raise Refused(
                f"incomplete string data for inference input '{name}', expecting string of length {size} but only "
                f"{max(0, len(raw) - at)} bytes available"
            )
        found.append(raw[at : at + size])
        at += size
    return found


def read(model: Model, request: Any) -> Values:
    """The values of a `ModelInferRequest`'s inputs. A required one may be missing: Triton only counts them."""
    prefix = f"[request id: {request.id or '<id_unknown>'}] "
    named = [one.name for one in request.inputs]
    for kind, names, declared in (
        ("input", named, model.inputs),
        ("output", [one.name for one in request.outputs], model.outputs),
    ):
        if unknown := [name for name in names if name not in declared]:
            raise Refused(f"unexpected inference {kind} '{unknown[0]}' for model '{model.name}'")
    if len(named) < len(model.required):
        raise Refused(prefix + _missing(model, named))
    raws = list(request.raw_input_contents) or [None] * len(named)
    if len(raws) < len(named):
        raise Refused(f"unable to find data for input tensor '{named[len(raws)]}' for model '{model.name}' in request.")
    return {
        one.name: _values(prefix, model, model.inputs[one.name], one, raw)
        for one, raw in zip(request.inputs, raws, strict=False)
    }


def _missing(model: Model, named: list[str]) -> str:
    missing = [name for name in model.required if name not in named]
    return (
        f"expected number of inputs between {len(model.required)} and {len(model.inputs)} but got {len(named)} inputs "
        f"for model '{model.name}'. Got input(s) {_quoted(named)}, but missing required input(s) {_quoted(missing)}. "
        "Please provide all required input(s)."
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
            f"{_listed(shape)}. {_BATCHED if model.max_batch_size else ''}"
        )
    if raw is None:
        return list(getattr(got.contents, _CONTENTS[declared.datatype]))
    if declared.datatype == "BYTES":
        values = strings(raw, name)
        if len(values) != prod(shape):
            raise Refused(
                f"{prefix}expected {prod(shape)} string elements for inference input '{name}' for model "
                f"'{model.name}', got {len(values)}"
            )
        return values
    format_ = f"<{prod(shape)}{FORMATS[declared.datatype]}"
    if len(raw) != struct.calcsize(format_):
        raise Refused(
            f"{prefix}input byte size mismatch for input '{name}' for model '{model.name}'. Expected "
            f"{struct.calcsize(format_)}, got {len(raw)}"
        )
    return list(struct.unpack(format_, raw))


def _fits(shape: Sequence[int], wanted: Sequence[int]) -> bool:
    return len(shape) == len(wanted) and all(w in (-1, s) for s, w in zip(shape, wanted, strict=True))


def _listed(shape: Sequence[int]) -> str:
    return f"[{','.join(map(str, shape))}]"


def _quoted(names: Sequence[str]) -> str:
    each = ",".join(f"'{name}'" for name in names)
    return f"[{each}]"


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
