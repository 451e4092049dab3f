"""A request to Triton as the bytes of its message; the generated classes are the oracle in the tests."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache

from engines.triton.tensors import Tensor

STREAM = "/inference.GRPCInferenceService/ModelStreamInfer"
MODELS = 64
DESCRIPTIONS = 1024
"""Of inputs that are remembered: a model has a few dozen, in a few shapes each."""


def encode_request(model: str, version: str, request: str, tensors: Iterable[Tensor]) -> bytes:
    """A ModelInferRequest that asks for an end of its own. `request` must be unique among those that run."""
    described, contents = [], []
    for name, datatype, shape, content in tensors:
        described.append(_input(name, datatype, shape))
        contents.append(_delimited(0x3A, content))
    return b"".join((_to(model, version), _delimited(0x1A, request.encode()), _ASK_FOR_END, *described, *contents))


def _delimited(tag: int, value: bytes) -> bytes:
    """A field with its length."""
    size = len(value)
    return (bytes((tag, size)) if size < 0x80 else bytes((tag,)) + _number(size)) + value


def _number(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


@lru_cache(MODELS)
def _to(model: str, version: str) -> bytes:
    return _delimited(0x0A, model.encode()) + _delimited(0x12, version.encode())


@lru_cache(DESCRIPTIONS)
def _input(name: str, datatype: str, shape: tuple[int, ...]) -> bytes:
    dimensions = b"".join(_number(size) for size in shape)
    fields = (_delimited(0x0A, name.encode()), _delimited(0x12, datatype.encode()), _delimited(0x1A, dimensions))
    return _delimited(0x2A, b"".join(fields))


_ASK_FOR_END = _delimited(0x22, _delimited(0x0A, b"triton_enable_empty_final_response") + b"\x12\x02\x08\x01")
