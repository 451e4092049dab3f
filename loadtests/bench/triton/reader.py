"""The baseline: a reader over grpc.aio's own stub that does nothing else, a process of its own.

Takes a `Reading` as JSON in its only argument and prints a `Read` as JSON; stops by itself.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator
from time import perf_counter, process_time
from typing import Any

import grpc.aio
import msgspec
import uvloop
from tritonclient.grpc import service_pb2_grpc

from loadtests.bench.generator import GRACE
from loadtests.bench.triton import replies


class Reading(msgspec.Struct, frozen=True):
    """`streams` at a time, begun within `spread` seconds, and again until `seconds` have passed."""

    port: int
    prompt: str
    tokens: int
    streams: int
    seconds: float
    spread: float = 0.0


class Read(msgspec.Struct, frozen=True):
    """What came; `cpu` in seconds of the whole process, from the first stream to the last."""

    done: int
    cpu: float


async def read(reading: Reading) -> Read:
    """Raises AssertionError for an answer that is not as it should be, TimeoutError for one that does not come."""
    done = 0
    text = replies.text(reading.tokens).encode()
    async with grpc.aio.insecure_channel(f"127.0.0.1:{reading.port}") as channel:
        stub = service_pb2_grpc.GRPCInferenceServiceStub(channel)
        await channel.channel_ready()
        started, cpu = perf_counter(), process_time()

        async def one() -> None:
            heard, last = 0, b""

            async def request() -> AsyncIterator[Any]:
                yield replies.request(reading.prompt, reading.tokens)

            call = stub.ModelStreamInfer(request())
            async for answer in call:
                response = answer.infer_response
                if response.parameters["triton_final_response"].bool_param:
                    break
                heard += 1
                last = response.raw_output_contents[0]
            call.cancel()
            assert (heard, last[4:]) == (reading.tokens, text), (heard, last)

        async def worker(at: float) -> None:
            nonlocal done
            await asyncio.sleep(at)
            while perf_counter() - started < reading.seconds:
                await one()
                done += 1

        async with asyncio.timeout(reading.seconds + GRACE):
            await asyncio.gather(*(worker(n * reading.spread / reading.streams) for n in range(reading.streams)))
        return Read(done, process_time() - cpu)


if __name__ == "__main__":
    outcome = uvloop.run(read(msgspec.json.decode(sys.argv[1], type=Reading)))
    sys.stdout.buffer.write(msgspec.json.encode(outcome) + b"\n")
