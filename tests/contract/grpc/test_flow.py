"""Messages handed over as they come, and a server that has to wait for a slow reader, alone."""

from __future__ import annotations

import asyncio

import pytest

from engines.grpc.api import Code, Rpc
from tests.contract.grpc.conftest import Connect
from tests.support.grpc_server import METHOD, Seen, Server, flood, saying, serving
from tests.support.grpc_transports import Story, first, story
from tests.support.waiting import PATIENCE, unmoved, until

HELD = 4 * 1024 * 1024
"""Bytes that a stream without a reader may have on the way in all: a window, and what both ends' buffers take."""
ALPHABET = [b"%c" % letter for letter in b"abcdefgh"]


async def flowed(rpc: Rpc, stop_after: int) -> list[bytes]:
    taken: list[bytes] = []

    def take(message: bytes) -> bool:
        taken.append(message)
        return len(taken) < stop_after

    async with asyncio.timeout(PATIENCE):
        await rpc.flow(take)
    return taken


async def at_a_stand(server: Server) -> Seen:
    """The next call, once its server cannot say any more."""
    seen = await server.arrival()
    await until(lambda: seen.said)
    await until(lambda: seen.said, unmoved())
    return seen


async def test_messages_flow_to_the_end(connect: Connect) -> None:
    async with serving(saying(*ALPHABET)) as server:
        rpc = connect(server.port).open(METHOD, b"")
        assert await flowed(rpc, 100) == ALPHABET
        assert await rpc.read() is None
        assert await flowed(rpc, 100) == []


async def test_a_flow_that_meets_an_error_leaves_it_to_reading(connect: Connect) -> None:
    async with serving(saying(*ALPHABET, code=Code.ABORTED, details="enough")) as server:
        rpc = connect(server.port).open(METHOD, b"")
        assert await flowed(rpc, 100) == ALPHABET
        assert await story(rpc) == Story([], Code.ABORTED, "enough")


async def test_a_flow_stops_where_it_is_told_and_reading_goes_on_there(connect: Connect) -> None:
    async with serving(saying(*ALPHABET)) as server:
        rpc = connect(server.port).open(METHOD, b"")
        assert await rpc.read() == b"a"
        assert await flowed(rpc, 3) == [b"b", b"c", b"d"]
        assert await rpc.read() == b"e"
        assert await flowed(rpc, 1) == [b"f"]
        assert await story(rpc) == Story([b"g", b"h"], Code.OK)


async def test_a_flow_that_stops_at_the_last_message_still_has_its_end_to_come(connect: Connect) -> None:
    async with serving(saying(*ALPHABET, code=Code.INTERNAL, details="late")) as server:
        rpc = connect(server.port).open(METHOD, b"")
        assert await flowed(rpc, len(ALPHABET)) == ALPHABET
        assert await story(rpc) == Story([], Code.INTERNAL, "late")


async def test_a_flow_takes_what_came_before_it_began(connect: Connect) -> None:
    async with serving(saying(*ALPHABET)) as server:
        rpc = connect(server.port).open(METHOD, b"")
        await (await server.arrival()).over()
        assert await flowed(rpc, 100) == ALPHABET


async def test_what_the_taker_raises_comes_out_of_the_flow(connect: Connect) -> None:
    def refuse(message: bytes) -> bool:
        raise LookupError(message)

    async with serving(flood) as server:
        rpc = connect(server.port).open(METHOD, b"x")
        async with asyncio.timeout(PATIENCE):
            with pytest.raises(LookupError):
                await rpc.flow(refuse)
        rpc.cancel()
        assert await (await server.arrival()).over() == "cancelled"


async def test_a_cancelled_flow_is_a_cancelled_task(connect: Connect) -> None:
    async with serving(flood) as server:
        rpc = connect(server.port).open(METHOD, b"x")
        flowing = asyncio.create_task(rpc.flow(lambda _message: True))
        seen = await server.arrival()
        await asyncio.sleep(0)
        flowing.cancel()
        await asyncio.wait([flowing])
        assert flowing.cancelled()
        rpc.cancel()
        assert await seen.over() == "cancelled"


async def test_a_server_waits_for_a_reader_that_does_not_read(connect: Connect) -> None:
    async with serving(flood) as server:
        rpc = connect(server.port).open(METHOD, bytes(10_000))
        seen = await at_a_stand(server)
        assert seen.said < HELD
        stood = seen.messages
        for _ in range(stood + 100):
            assert len(await first(rpc)) == 10_000
        assert seen.messages > stood
        rpc.cancel()
        assert await seen.over() == "cancelled"


async def test_a_server_waits_for_a_flow_that_has_stopped(connect: Connect) -> None:
    async with serving(flood) as server:
        rpc = connect(server.port).open(METHOD, bytes(10_000))
        assert len(await flowed(rpc, 200)) == 200
        seen = await at_a_stand(server)
        assert seen.said < 2_000_000 + HELD
        rpc.cancel()


async def test_streams_nobody_reads_do_not_hold_up_their_siblings(connect: Connect) -> None:
    async with serving(flood) as server:
        channel = connect(server.port)
        unread = [channel.open(METHOD, bytes(10_000)) for _ in range(30)]
        stands = await asyncio.gather(*(at_a_stand(server) for _ in unread))
        assert max(seen.said for seen in stands) < HELD
        sibling = channel.open(METHOD, bytes(10_000))
        assert len(await flowed(sibling, 1000)) == 1000
        for rpc in (*unread, sibling):
            rpc.cancel()


async def test_messages_bigger_than_any_window_come_though_nobody_read_before(connect: Connect) -> None:
    async with serving(flood) as server:
        rpc = connect(server.port).open(METHOD, bytes(6_000_000))
        await server.arrival()
        for _ in range(3):
            assert len(await first(rpc)) == 6_000_000
        rpc.cancel()
