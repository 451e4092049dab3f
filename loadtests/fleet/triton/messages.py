"""The bytes of streamed responses: what does not change within a request is encoded once, as a token must be cheap."""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

from loadtests.fleet.triton.contracts import VERSION
from loadtests.fleet.triton.requests import FORMATS

_RAW = b"\x32"  # raw_output_contents, the last field of ModelInferResponse
_INFER = b"\x12"  # infer_response, in ModelStreamInferResponse
FINAL = "triton_final_response"


class Output(NamedTuple):
    """An output tensor as it goes out."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    raw: bytes


def string(value: bytes) -> bytes:
    """One element of a BYTES tensor."""
    return struct.pack("<I", len(value)) + value


def numbers(datatype: str, *values: float) -> bytes:
    return struct.pack(f"<{len(values)}{FORMATS[datatype]}", *values)


def varint(number: int) -> bytes:
    out = bytearray()
    while number >> 7:
        out.append(number & 0x7F | 0x80)
        number >>= 7
    out.append(number)
    return bytes(out)


class Messages:
    """The `ModelStreamInferResponse`s of one request. Outputs never come in the same order twice running."""

    __slots__ = ("_count", "_heads", "_id", "_model", "_pb")

    def __init__(self, pb: Any, model: str, request_id: str) -> None:
        self._pb = pb
        self._model = model
        self._id = request_id
        self._count = 0
        self._heads: dict[Any, bytes] = {}

    def response(self, outputs: list[Output], *, final: bool = False) -> bytes:
        self._count += 1
        at = self._count % (len(outputs) or 1)
        outputs = outputs[at:] + outputs[:at]
        key = (final, *(one[:3] for one in outputs))
        head = self._heads.get(key)
        if head is None:
            head = self._heads[key] = self._head(outputs, final=final)
        body = head + b"".join([_RAW + varint(len(one.raw)) + one.raw for one in outputs])
        return _INFER + varint(len(body)) + body

    def empty_final(self) -> bytes:
        """Says that nothing more comes; it lacks the model's version."""
        response = self._pb.ModelStreamInferResponse()
        response.infer_response.model_name = self._model
        response.infer_response.id = self._id
        response.infer_response.parameters[FINAL].bool_param = True
        data: bytes = response.SerializeToString()
        return data

    def error(self, text: str, *, final: bool | None = None) -> bytes:
        """`final`: whether the model says that nothing more comes; None if it was not the model."""
        response = self._pb.ModelStreamInferResponse(error_message=text)
        response.infer_response.id = self._id
        if final is not None:
            response.infer_response.parameters[FINAL].bool_param = final
        data: bytes = response.SerializeToString()
        return data

    def _head(self, outputs: list[Output], *, final: bool) -> bytes:
        response = self._pb.ModelInferResponse(model_name=self._model, model_version=VERSION, id=self._id)
        response.parameters[FINAL].bool_param = final
        for one in outputs:
            response.outputs.add(name=one.name, datatype=one.datatype, shape=one.shape)
        data: bytes = response.SerializeToString()
        return data
