"""The test run's Triton server, and a bare gRPC client of it that knows nothing but the protocol."""

from __future__ import annotations

import asyncio
import os
import struct
import subprocess
import warnings
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from engines.embedded.weights import default_cache, pull
from loadtests.triton import Entry, TritonServer
from tests.support.waiting import PATIENCE, until

_ROOT = Path(__file__).parents[2]
Tensor = tuple[str, list[int], bytes]
"""Datatype, shape, content as it goes over the wire."""


def set_up() -> None:
    """Fails the test that needs Triton, in one sentence, where it cannot be had."""
    done = subprocess.run([str(_ROOT / "scripts/triton")], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.fail(done.stderr.strip() or done.stdout.strip(), pytrace=False)


@contextmanager
def running_triton(*models: str, options: Sequence[str] = ()) -> Iterator[TritonServer]:
    """A server of one's own, for tests that stop or kill it; the others share the fixture `triton`."""
    set_up()
    weights = pull(default_cache(os.environ, Path.home()), print)
    with TritonServer(models, weights=weights, options=options) as server:
        yield server


def revived(server: TritonServer, *, may_hang: bool = False) -> bool:
    """Start it again if it died, or hangs, and warn of how that was. Whether it did."""
    if told := server.revive(may_hang=may_hang):
        with warnings.catch_warnings():
            warnings.simplefilter("always")  # elsewhere warnings are errors
            warnings.warn(told, stacklevel=2)
    return bool(told)


def texts(*values: str | bytes) -> Tensor:
    raw = [value.encode() if isinstance(value, str) else value for value in values]
    return "BYTES", [len(raw)], b"".join(struct.pack("<I", len(one)) + one for one in raw)


def ints(*values: int) -> Tensor:
    return "INT32", [len(values)], struct.pack(f"<{len(values)}i", *values)


def longs(*values: int) -> Tensor:
    return "UINT64", [len(values)], struct.pack(f"<{len(values)}Q", *values)


def floats(*values: float) -> Tensor:
    return "FP32", [len(values)], struct.pack(f"<{len(values)}f", *values)


def flags(*values: bool) -> Tensor:
    return "BOOL", [len(values)], struct.pack(f"<{len(values)}?", *values)


def batched(tensors: dict[str, Tensor]) -> dict[str, Tensor]:
    """The same for a model that has a batch dimension."""
    return {name: (datatype, [1, *shape], raw) for name, (datatype, shape, raw) in tensors.items()}


@dataclass
class Response:
    """One message of a stream. `outputs` are in the order in which they came."""

    outputs: dict[str, Tensor] = field(default_factory=dict)
    final: bool = False
    error: str = ""

    def raw(self, name: str) -> bytes:
        """The first element of a BYTES tensor."""
        raw = self.outputs[name][2]
        return raw[4 : 4 + struct.unpack_from("<I", raw)[0]]

    def text(self, name: str = "text_output") -> str:
        return self.raw(name).decode()

    def int(self, name: str) -> int:
        number: int = struct.unpack("<i", self.outputs[name][2])[0]
        return number


class RawTriton:
    """A channel of its own to a server."""

    def __init__(self, target: str) -> None:
        import grpc.aio
        from tritonclient.grpc.service_pb2_grpc import GRPCInferenceServiceStub

        large = [("grpc.max_receive_message_length", -1), ("grpc.use_local_subchannel_pool", 1)]
        self._channel = grpc.aio.insecure_channel(target, options=large)
        self._stub: Any = GRPCInferenceServiceStub(self._channel)

    def __repr__(self) -> str:
        return f"<RawTriton {self._channel}>"

    async def aclose(self) -> None:
        await self._channel.close()

    def open(self, model: str, tensors: dict[str, Tensor], request_id: str = "", outputs: Sequence[str] = ()) -> Any:
        """The gRPC call: read it, or cancel it."""

        async def one() -> AsyncIterator[Any]:
            yield _request(model, tensors, request_id, outputs)

        return self._stub.ModelStreamInfer(one())

    async def responses(
        self,
        model: str,
        tensors: dict[str, Tensor],
        request_id: str = "",
        outputs: Sequence[str] = (),
    ) -> AsyncIterator[Response]:
        """Until the final one; cancels if it is left before."""
        call = self.open(model, tensors, request_id, outputs)
        try:
            async for message in call:
                response = _response(message)
                yield response
                if response.final:
                    return
        finally:
            call.cancel()

    async def all(self, model: str, tensors: dict[str, Tensor], **more: Any) -> list[Response]:
        async with asyncio.timeout(PATIENCE):
            return [response async for response in self.responses(model, tensors, **more)]

    async def unary(self, model: str, tensors: dict[str, Tensor]) -> Response:
        reply = await self._stub.ModelInfer(_request(model, tensors, "", ()), timeout=PATIENCE)
        return Response(_outputs(reply), final=True)


def _request(model: str, tensors: dict[str, Tensor], request_id: str, outputs: Sequence[str]) -> Any:
    from tritonclient.grpc import service_pb2

    message = service_pb2.ModelInferRequest(model_name=model, id=request_id)
    for name, (datatype, shape, raw) in tensors.items():
        message.inputs.add(name=name, datatype=datatype, shape=shape)
        message.raw_input_contents.append(raw)
    for name in outputs:
        message.outputs.add(name=name)
    message.parameters["triton_enable_empty_final_response"].bool_param = True
    return message


def _response(message: Any) -> Response:
    reply = message.infer_response
    return Response(_outputs(reply), reply.parameters["triton_final_response"].bool_param, message.error_message)


def _outputs(reply: Any) -> dict[str, Tensor]:
    pairs = zip(reply.outputs, reply.raw_output_contents, strict=True)
    return {one.name: (one.datatype, list(one.shape), raw) for one, raw in pairs}


@asynccontextmanager
async def raw_triton(server: TritonServer) -> AsyncIterator[RawTriton]:
    client = RawTriton(server.grpc)
    try:
        yield client
    finally:
        await client.aclose()


def begun(server: TritonServer, **which: str) -> list[Entry]:
    """What its models were asked: the notes that are there before an answer; those of an end may come after it."""
    return [one for one in server.journal(**which) if one.outcome is None]


async def journal_until(server: TritonServer, enough: Callable[[list[Entry]], bool], **which: str) -> list[Entry]:
    """The journal as soon as `enough(entries)` holds of what `which` (model, request_id) selects."""
    return await until(lambda: server.journal(**which), enough)


async def ended(server: TritonServer, **which: str) -> Entry:
    """The entry of the first request's end."""
    entries = await journal_until(server, lambda entries: any(one.outcome for one in entries), **which)
    return next(one for one in entries if one.outcome)
