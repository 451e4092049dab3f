"""What a server allows us, at the start and later; and servers that begin wrongly."""

from __future__ import annotations

import asyncio

import pytest

from engines.grpc.api import Code
from engines.grpc.http2.channel import Http2Channel
from tests.support.grpc_transports import Story, code, story
from tests.support.raw_grpc import (
    ACK,
    DATA,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PUSH_PROMISE,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    begin,
    end,
    frame,
    raw_serving,
    say,
    settings,
    word,
)
from tests.support.waiting import PATIENCE
from tests.unit.engines.grpc.conftest import METHOD, Line

TABLE_SIZE, ENABLE_PUSH, MAX_STREAMS, WINDOW, FRAME_SIZE, LIST_SIZE = range(1, 7)
PROTOCOL_ERROR, FLOW_CONTROL_ERROR, FRAME_SIZE_ERROR = 1, 3, 6


async def answer(peer: Peer, stream: int) -> None:
    peer.send(begin(stream), say(stream, b"%d" % stream), end(stream))


async def test_calls_over_the_limit_queue_in_order(line: Line) -> None:
    rpcs = [line.open() for _ in range(5)]
    peer = await line.server.peer([(MAX_STREAMS, 2)])
    assert [await peer.request(), await peer.request()] == [1, 3]
    await peer.settled()
    assert len(line.channel._waiting) == 3
    rpcs[2].cancel()
    await answer(peer, 1)
    assert await peer.request() == 5
    peer.send(settings([(MAX_STREAMS, 100)]))
    assert await peer.request() == 7
    for stream in (3, 5, 7):
        await answer(peer, stream)
    stories = [await story(rpc) for rpc in rpcs]
    assert [told.messages for told in stories] == [[b"1"], [b"3"], [], [b"5"], [b"7"]]
    assert stories[2].code is Code.CANCELLED


async def test_a_limit_that_shrinks_holds_for_calls_to_come(line: Line) -> None:
    rpcs = [line.open() for _ in range(3)]
    peer = await line.server.peer()
    streams = [await peer.request() for _ in rpcs]
    peer.send(settings([(MAX_STREAMS, 1)]))
    await peer.settled()
    late = line.open()
    for stream in streams:
        await peer.settled()
        assert len(line.channel._waiting) == 1
        await answer(peer, stream)
    await answer(peer, await peer.request())
    assert [await code(rpc) for rpc in (*rpcs, late)] == [Code.OK] * 4


async def test_no_limit_means_no_limit(line: Line) -> None:
    rpcs = [line.open() for _ in range(300)]
    peer = await line.server.peer()
    streams = [await peer.request() for _ in rpcs]
    for stream in streams:
        await answer(peer, stream)
    assert [await code(rpc) for rpc in rpcs] == [Code.OK] * 300


async def test_a_change_of_the_window_counts_for_open_streams_too(line: Line) -> None:
    rpc = line.open(bytes(95))
    peer = await line.server.peer([(WINDOW, 60)])
    await peer.until(HEADERS)
    assert len((await peer.until(DATA)).payload) == 60
    peer.send(settings([(WINDOW, 50)]))  # ten less than nothing are left
    peer.send(frame(WINDOW_UPDATE, 0, 1, word(15)))
    assert len((await peer.until(DATA)).payload) == 5
    peer.send(settings([(WINDOW, 85)]))
    rest = await peer.until(DATA)
    assert (len(rest.payload), rest.flags & END_STREAM) == (35, END_STREAM)
    await answer(peer, 1)
    assert await code(rpc) is Code.OK


async def test_a_frame_is_no_bigger_than_the_server_takes(line: Line) -> None:
    rpcs = [line.open(bytes(40_000)) for _ in range(2)]
    peer = await line.server.peer([(WINDOW, 10**6), (FRAME_SIZE, 20_000)])
    peer.send(frame(WINDOW_UPDATE, 0, 0, word(10**6)))
    taken: dict[int, list[int]] = {1: [], 3: []}
    while sum(map(sum, taken.values())) < 80_010:
        piece = await peer.until(DATA)
        taken[piece.stream].append(len(piece.payload))
    assert taken == {1: [20_000, 20_000, 5], 3: [20_000, 20_000, 5]}
    peer.send(settings([(FRAME_SIZE, 2**24 - 1)]))
    await peer.settled()
    rpcs.append(line.open(bytes(200_000)))
    whole = await peer.until(DATA)
    assert (len(whole.payload), whole.flags) == (200_005, END_STREAM)
    for stream in (1, 3, 5):
        await answer(peer, stream)
    assert [await code(rpc) for rpc in rpcs] == [Code.OK] * 3


WRONG = {
    "too large a window": (settings([(WINDOW, 2**31)]), FLOW_CONTROL_ERROR),
    "too small a frame": (settings([(FRAME_SIZE, 16_383)]), PROTOCOL_ERROR),
    "too large a frame": (settings([(FRAME_SIZE, 2**24)]), PROTOCOL_ERROR),
    "push": (settings([(ENABLE_PUSH, 1)]), PROTOCOL_ERROR),
    "a push": (frame(PUSH_PROMISE, 4, 1, word(2)), PROTOCOL_ERROR),
    "a cut setting": (frame(SETTINGS, 0, 0, bytes(5)), FRAME_SIZE_ERROR),
    "an acknowledgement that says more": (frame(SETTINGS, ACK, 0, bytes(6)), FRAME_SIZE_ERROR),
    "for one stream": (frame(SETTINGS, 0, 1), PROTOCOL_ERROR),
    "too large a frame of its own": (frame(0x77, 0, 0, bytes(16_385)), FRAME_SIZE_ERROR),
}


@pytest.mark.parametrize("what", WRONG)
async def test_what_a_server_may_not_say(line: Line, what: str) -> None:
    rpc, peer, _ = await line.call()
    said, error = WRONG[what]
    peer.send(said)
    assert await code(rpc) is Code.INTERNAL
    assert await peer.dismissed() == error


async def test_settings_that_mean_nothing_to_us_are_acknowledged(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(settings([(TABLE_SIZE, 0), (LIST_SIZE, 10), (ENABLE_PUSH, 0), (0x77, 5)]))
    while (taken := await peer.take()).kind != SETTINGS or not taken.flags & ACK:
        pass
    await answer(peer, s)
    assert await story(rpc) == Story([b"1"], Code.OK)


@pytest.mark.parametrize(
    "first",
    [
        b"HTTP/1.1 400 Bad Request\r\ncontent-length: 0\r\n\r\n",
        frame(PING, 0, 0, bytes(8)),
        frame(SETTINGS, ACK, 0),
        frame(GOAWAY, 0, 0, bytes(8)),
        b"SSH-2.0-whatever\r\n",
    ],
    ids=["HTTP/1", "a ping", "an acknowledgement", "a farewell", "another protocol"],
)
async def test_a_server_that_begins_otherwise_is_no_server(line: Line, first: bytes) -> None:
    rpc = line.open()
    peer = await line.server.peer(None)
    peer.send(first)
    assert await code(rpc) is Code.UNAVAILABLE
    await peer.greet()
    assert GOAWAY in [taken.kind for taken in await peer.gone()]


async def test_a_server_that_hangs_up_before_its_settings(line: Line) -> None:
    rpc = line.open()
    peer = await line.server.peer(None)
    peer.writer.close()
    assert await code(rpc) is Code.UNAVAILABLE


async def test_settings_have_to_come_in_time() -> None:
    async with raw_serving() as server:
        channel = Http2Channel(
            f"127.0.0.1:{server.port}", tls=None, connections=1, max_message=100, connect_timeout=0.2
        )
        rpc = channel.open(METHOD, b"")
        peer = await server.peer(None)
        told = await story(rpc)
        assert (told.code, told.details) == (Code.UNAVAILABLE, "no connection within 0.2 s")
        async with asyncio.timeout(PATIENCE):
            await peer.gone()
        await channel.aclose()


async def test_nothing_is_asked_before_the_servers_settings(line: Line) -> None:
    rpc = line.open()
    peer = await line.server.peer(None)
    await peer.greet()
    assert (await peer.until(HEADERS, RST_STREAM)).stream == 1
    rpc.cancel()
    assert (await peer.until(RST_STREAM)).stream == 1
