"""Asks a Triton over the raw stub: what went over the wire is what a test sees."""

from __future__ import annotations

import struct
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from typing import Any, Literal

import grpc.aio
import pytest
from tritonclient.grpc import service_pb2, service_pb2_grpc

ContractName = Literal["llmapi", "ensemble"]
EMPTY_FINAL = "triton_enable_empty_final_response"
FINAL = "triton_final_response"
_FORMATS = {"BOOL": "?", "INT32": "i", "INT64": "q", "UINT64": "Q", "FP32": "f"}
Sent = tuple[str, Sequence[int], bytes]
"""Datatype, shape, raw content of an input."""


def raw(datatype: str, values: Sequence[Any]) -> bytes:
    if datatype == "BYTES":
        return b"".join(struct.pack("<I", len(value)) + value for value in values)
    return struct.pack(f"<{len(values)}{_FORMATS[datatype]}", *values)


def sent(datatype: str, *values: Any, batched: bool = False) -> Sent:
    shape = [1, len(values)] if batched else [len(values)]
    return datatype, shape, raw(datatype, values)


def request(
    model: str, inputs: Mapping[str, Sent], *, request_id: str = "", version: str = "", empty_final: bool = True
) -> Any:
    """A ModelInferRequest."""
    message = service_pb2.ModelInferRequest(model_name=model, model_version=version, id=request_id)
    for name, (datatype, shape, content) in inputs.items():
        message.inputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_input_contents.append(content)
    if empty_final:
        message.parameters[EMPTY_FINAL].bool_param = True
    return message


def ask(contract: ContractName, prompt: str, **options: Any) -> dict[str, Sent]:
    """Inputs of a request as each contract spells them; `options`: max_tokens, stream, stop (a list), n, and flags.

    A flag is the name of a BOOL input of the contract, with its value.
    """
    batched = contract == "ensemble"
    names = (
        {"stream": "stream", "max_tokens": "max_tokens", "stop": "stop_words", "n": "num_return_sequences"}
        if batched
        else {"stream": "streaming", "max_tokens": "sampling_param_max_tokens", "stop": "sampling_param_stop"}
    )
    options = {"max_tokens": 32, "stream": True, **options}
    options.setdefault("exclude_input_in_output" if batched else "sampling_param_exclude_input_from_output", True)
    inputs = {"text_input": sent("BYTES", prompt.encode(), batched=batched)}
    for option, value in options.items():
        name = names.get(option, option)
        if isinstance(value, list):
            inputs[name] = sent("BYTES", *[one.encode() for one in value], batched=batched)
        else:
            inputs[name] = sent("BOOL" if isinstance(value, bool) else "INT32", value, batched=batched)
    return inputs


@dataclass
class Got:
    """One response: its outputs by name, as they came."""

    error: str
    outputs: dict[str, tuple[str, tuple[int, ...], bytes]]
    order: list[str]
    final: bool | None
    version: str = field(default="", repr=False)
    id: str = ""

    @property
    def text(self) -> bytes:
        return self.string("text_output")

    def string(self, name: str) -> bytes:
        """The one element of a BYTES output."""
        datatype, _, content = self.outputs[name]
        assert datatype == "BYTES"
        assert struct.unpack("<I", content[:4]) == (len(content) - 4,)
        return content[4:]

    def number(self, name: str) -> Any:
        datatype, _, content = self.outputs[name]
        (value,) = struct.unpack(f"<{_FORMATS[datatype]}", content)
        return value


def got(message: Any) -> Got:
    answer = message.infer_response
    outputs = {
        one.name: (one.datatype, tuple(one.shape), content)
        for one, content in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }
    final = answer.parameters[FINAL].bool_param if FINAL in answer.parameters else None
    return Got(
        message.error_message, outputs, [one.name for one in answer.outputs], final, answer.model_version, answer.id
    )


@contextmanager
def streaming(stub: Any, *requests: Any) -> Iterator[Any]:
    """The call of a stream with these requests; cancelled after the block."""

    async def each() -> AsyncIterator[Any]:
        for one in requests:
            yield one

    call = stub.ModelStreamInfer(each())
    try:
        yield call
    finally:
        call.cancel()


async def rest_of(call: Any) -> list[Got]:
    """What still comes, up to the trailers with OK."""
    rest = []
    while (message := await call.read()) is not grpc.aio.EOF:
        rest.append(got(message))
    return rest


async def answers(stub: Any, *requests: Any) -> list[Got]:
    """All responses, up to the trailers with OK."""
    with streaming(stub, *requests) as call:
        return await rest_of(call)


@asynccontextmanager
async def stub_of(target: str) -> AsyncIterator[Any]:
    """On a connection of its own."""
    options = [("grpc.use_local_subchannel_pool", 1), ("grpc.max_receive_message_length", -1)]
    async with grpc.aio.insecure_channel(target, options=options) as channel:
        yield service_pb2_grpc.GRPCInferenceServiceStub(channel)


Ended = Callable[[str], Awaitable[tuple[str, int]]]
"""Waits until the request with this id has ended in the model: `finished`, `cancelled` or `stopped`, and its tokens."""


@dataclass(frozen=True)
class Target:
    """A server, and a model on it that keeps a contract."""

    address: str
    contract: ContractName
    model: str
    ended: Ended

    def request(self, prompt: str, *, request_id: str = "", empty_final: bool = True, **options: Any) -> Any:
        inputs = ask(self.contract, prompt, **options)
        return request(self.model, inputs, request_id=request_id, empty_final=empty_final)

    @property
    def text(self) -> Any:
        return sent("BYTES", b"one two", batched=self.contract == "ensemble")


def said(responses: list[Got], contract: ContractName) -> bytes:
    """The text of a stream."""
    texts = [one.text for one in responses if "text_output" in one.outputs]
    return b"".join(texts) if contract == "ensemble" else (texts or [b""])[-1]


def says(pattern: str, text: str) -> None:
    with pytest.raises(AssertionError, match=pattern):
        raise AssertionError(text)
