"""The same client on the event loop that the gateway runs on, against a real gRPC server."""

from __future__ import annotations

import asyncio
import tracemalloc

import uvloop

from engines.grpc.api import Code
from engines.grpc.http2.channel import Http2Channel
from engines.grpc.tls import Tls
from tests.support.certificates import localhost
from tests.support.grpc_server import METHOD, echo, first_then_silence, flood, serving
from tests.support.grpc_transports import Story, code, first, story
from tests.support.waiting import PATIENCE

EIGHT_MB = 8 * 1024 * 1024


def on(host: str, port: int, tls: Tls | None = None, connections: int = 1) -> Http2Channel:
    return Http2Channel(
        f"{host}:{port}", tls=tls, connections=connections, max_message=EIGHT_MB, connect_timeout=PATIENCE
    )


def test_uvloop_serves_as_well() -> None:
    async def everything() -> None:
        pair = localhost()
        async with serving(echo) as plain, serving(echo, tls=pair) as encrypted:
            for channel in (on("127.0.0.1", plain.port), on("localhost", encrypted.port, Tls(ca=pair.certificate))):
                stories = [story(channel.open(METHOD, b"%d" % n)) for n in range(200)]
                assert await asyncio.gather(*stories) == [Story([b"%d" % n], Code.OK) for n in range(200)]
                message = bytes(EIGHT_MB)
                assert await story(channel.open(METHOD, message)) == Story([message], Code.OK)
                await channel.aclose()

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(everything())


def test_uvloop_lets_go_as_well() -> None:
    async def everything() -> None:
        async with serving(flood) as server:
            channel = on("127.0.0.1", server.port)
            rpcs = {request: channel.open(METHOD, request) for n in range(20) if (request := bytes([n]) * 1000)}
            for request, rpc in rpcs.items():
                assert await first(rpc) == request
            for seen in [await server.arrival() for _ in rpcs]:  # in whatever order the server has begun with them
                rpcs[seen.request].cancel()
                assert await seen.over() == "cancelled"
            left = channel.open(METHOD, b"x")
            await channel.aclose()
            assert await code(left) is Code.UNAVAILABLE

    with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
        runner.run(everything())


async def test_an_open_call_takes_little_memory() -> None:
    count = 300
    async with serving(first_then_silence) as server:
        channel = on("127.0.0.1", server.port)
        await first(channel.open(METHOD, b"x"))
        mine = [tracemalloc.Filter(True, "*/engines/grpc/http2/*")]
        tracemalloc.start()
        rpcs = [channel.open(METHOD, b"x", timeout=1000) for _ in range(count)]
        for rpc in rpcs:
            await first(rpc)
        held = sum(trace.size for trace in tracemalloc.take_snapshot().filter_traces(mine).traces)
        tracemalloc.stop()
        assert held / count < 2048
        await channel.aclose()
