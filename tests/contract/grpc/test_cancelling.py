"""Letting go of a call: at any time, without waiting, seen by the server soon, never taken for a cancelled task."""

from __future__ import annotations

import asyncio
import time

import pytest

from engines.grpc.api import Code, Rpc, RpcError
from tests.contract.grpc.conftest import Connect
from tests.support.grpc_server import METHOD, echo, first_then_silence, flood, held, saying, serving, silence
from tests.support.grpc_transports import Story, first, story
from tests.support.waiting import PATIENCE


async def told_cancelled(rpc: Rpc) -> None:
    for _ in range(2):
        with pytest.raises(RpcError) as caught:
            await rpc.read()
        assert caught.value.code is Code.CANCELLED


async def test_before_anything_was_sent(connect: Connect) -> None:
    async with serving(echo) as server:
        channel = connect(server.port)
        rpc = channel.open(METHOD, b"never mind")
        rpc.cancel()
        await told_cancelled(rpc)
        assert await story(channel.open(METHOD, b"x")) == Story([b"x"], Code.OK)


async def test_while_somebody_waits_for_a_message(connect: Connect) -> None:
    async with serving(silence) as server:
        rpc = connect(server.port).open(METHOD, b"")
        reading = asyncio.create_task(story(rpc))
        seen = await server.arrival()
        rpc.cancel()
        told = await reading
        assert (told.messages, told.code) == ([], Code.CANCELLED)
        assert await seen.over() == "cancelled"
        await told_cancelled(rpc)


async def test_while_messages_flow(connect: Connect) -> None:
    async with serving(flood) as server:
        rpc = connect(server.port).open(METHOD, bytes(100))
        taken: list[bytes] = []

        def take(message: bytes) -> bool:
            taken.append(message)
            if len(taken) == 50:
                rpc.cancel()
            return True

        async with asyncio.timeout(PATIENCE):
            await rpc.flow(take)
        assert len(taken) == 50
        await told_cancelled(rpc)
        assert await (await server.arrival()).over() == "cancelled"


async def test_what_had_come_is_not_told_any_more(connect: Connect) -> None:
    async with serving(saying(*[b"x"] * 10)) as server:
        rpc = connect(server.port).open(METHOD, b"")
        assert await first(rpc) == b"x"
        await (await server.arrival()).over()
        rpc.cancel()
        await told_cancelled(rpc)


async def test_the_server_sees_it_soon(connect: Connect) -> None:
    async with serving(first_then_silence) as server:
        channel = connect(server.port)
        delays = []
        for _ in range(20):
            rpc = channel.open(METHOD, b"x")
            await first(rpc)
            seen = await server.arrival()
            began = time.perf_counter()
            rpc.cancel()
            assert await seen.over() == "cancelled"
            delays.append(time.perf_counter() - began)
        assert sorted(delays)[10] < 0.2


async def test_it_never_waits(connect: Connect) -> None:
    async with serving(first_then_silence) as server:
        channel = connect(server.port)
        rpcs = [channel.open(METHOD, b"x") for _ in range(200)]
        await asyncio.gather(*map(first, rpcs))
        began = time.perf_counter()
        for rpc in rpcs:
            rpc.cancel()
        assert time.perf_counter() - began < 1
        for _ in rpcs:
            assert await (await server.arrival()).over() == "cancelled"


async def test_an_ended_call_stays_as_it_ended(connect: Connect) -> None:
    async with serving(echo) as server:
        channel = connect(server.port)
        fine, failed = channel.open(METHOD, b"x"), channel.open("/other.Service/Call", b"")
        assert await story(fine) == Story([b"x"], Code.OK)
        assert (await story(failed)).code is Code.UNIMPLEMENTED
        for rpc in (fine, failed):
            rpc.cancel()
            rpc.cancel()
        assert await fine.read() is None
        assert (await story(failed)).code is Code.UNIMPLEMENTED


async def test_siblings_are_not_touched(connect: Connect) -> None:
    go_on = asyncio.Event()
    async with serving(held(go_on)) as server:
        channel = connect(server.port)
        rpcs = [channel.open(METHOD, b"%d" % n) for n in range(40)]
        assert [await first(rpc) for rpc in rpcs] == [b"%d" % n for n in range(40)]
        for rpc in rpcs[::2]:
            rpc.cancel()
        go_on.set()
        assert [await story(rpc) for rpc in rpcs[1::2]] == [Story([b"end"], Code.OK)] * 20


async def test_a_cancelled_task_stays_cancelled_and_the_call_can_be_let_go(connect: Connect) -> None:
    async with serving(first_then_silence) as server:
        rpc = connect(server.port).open(METHOD, b"x")
        await first(rpc)
        reading = asyncio.create_task(rpc.read())
        await asyncio.sleep(0)
        reading.cancel()
        with pytest.raises(asyncio.CancelledError):
            await reading
        rpc.cancel()
        assert await (await server.arrival()).over() == "cancelled"
        await told_cancelled(rpc)


async def test_a_task_that_is_cancelled_before_the_connection_is_made(connect: Connect) -> None:
    async with serving(echo) as server:
        channel = connect(server.port)
        rpc = channel.open(METHOD, b"x")
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(0):
                await rpc.read()
        rpc.cancel()
        await told_cancelled(rpc)
        assert await story(channel.open(METHOD, b"y")) == Story([b"y"], Code.OK)


async def test_task_and_call_cancelled_together_end_the_task(connect: Connect) -> None:
    async with serving(silence) as server:
        for call_first in (True, False):
            rpc = connect(server.port).open(METHOD, b"x")
            reading = asyncio.create_task(rpc.read())
            await server.arrival()
            for cancel in (rpc.cancel, reading.cancel) if call_first else (reading.cancel, rpc.cancel):
                cancel()
            with pytest.raises(asyncio.CancelledError):
                await reading


async def test_a_cancelled_call_does_not_disturb_the_timeout_around_it(connect: Connect) -> None:
    async with serving(silence) as server:
        rpc = connect(server.port).open(METHOD, b"x")
        asyncio.get_running_loop().call_later(0.05, rpc.cancel)
        async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as group:
            telling = group.create_task(story(rpc))
        assert telling.result().code is Code.CANCELLED


async def test_calls_come_and_go_by_the_thousand(connect: Connect) -> None:
    async with serving(first_then_silence) as server:
        channel = connect(server.port)
        for _ in range(20):
            rpcs = [channel.open(METHOD, b"x") for _ in range(50)]
            for rpc in rpcs[::2]:
                rpc.cancel()
            assert await asyncio.gather(*map(first, rpcs[1::2])) == [b"x"] * 25
            for rpc in rpcs:
                rpc.cancel()
        assert await first(channel.open(METHOD, b"y")) == b"y"
