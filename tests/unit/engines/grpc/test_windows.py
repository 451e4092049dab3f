"""Flow control both ways: what is held for a slow reader, and how fast a large request goes out."""

from __future__ import annotations

import asyncio
import tracemalloc

import pytest

from engines.grpc.api import Code
from engines.grpc.http2.frames import STREAM_WINDOW
from engines.grpc.http2.inflow import REFILL_AT
from engines.grpc.http2.stream import Stream
from tests.support.grpc_transports import Story, code, first, story
from tests.support.raw_grpc import (
    DATA,
    END_STREAM,
    PADDED,
    RST_STREAM,
    SETTINGS,
    WINDOW_UPDATE,
    Peer,
    begin,
    end,
    frame,
    message,
    pieces,
    say,
    word,
)
from tests.support.waiting import PATIENCE, until
from tests.unit.engines.grpc.conftest import MAX_MESSAGE, METHOD, Line

PROTOCOL_ERROR, FLOW_CONTROL_ERROR = 1, 3
MOST_HELD = 256 * 1024
WIDE = [(4, 2**31 - 1)]


def widen(stream: int, increment: int) -> bytes:
    return frame(WINDOW_UPDATE, 0, stream, word(increment))


class Sender:
    """Sends as much of `data` as the client's windows allow; `granted` is that of the stream."""

    def __init__(self, peer: Peer, stream: int, data: bytes) -> None:
        self._peer = peer
        self._stream = stream
        self._data = memoryview(data)
        self.sent = 0
        self.granted = STREAM_WINDOW

    def push(self) -> None:
        part = self._data[self.sent : self.granted]
        self._peer.send(*pieces(self._stream, bytes(part)))
        self.sent += len(part)

    async def to_the_end(self) -> None:
        while self.sent < len(self._data):
            self.push()
            if self.sent < len(self._data):
                update = await self._peer.until(WINDOW_UPDATE)
                self.granted += update.number if update.stream == self._stream else 0


async def held(line: Line, data: bytes) -> tuple[Stream, Peer, Sender]:
    """A call whose reader does not read, though a window full of `data` has come."""
    rpc, peer, s = await line.call()
    sender = Sender(peer, s, data)
    peer.send(begin(s))
    sender.push()
    await peer.settled()
    return rpc, peer, sender


async def test_a_slow_reader_holds_a_window_and_no_more(line: Line) -> None:
    count = 200
    rpc, _, sender = await held(line, message(bytes(10_000)) * count)
    assert sender.sent == STREAM_WINDOW
    assert rpc.held == STREAM_WINDOW <= MOST_HELD
    sending = asyncio.create_task(sender.to_the_end())
    for _ in range(count):
        assert len(await first(rpc)) == 10_000
        await asyncio.sleep(0)
        assert rpc.held + rpc._window <= STREAM_WINDOW
    await sending
    rpc.cancel()


@pytest.mark.parametrize("size", [0, 1, 2, 100])
async def test_the_smallest_messages_take_no_more_memory(line: Line, size: int) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s))
    await peer.settled()
    count = STREAM_WINDOW // (size + 5)
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    for _ in range(0, count, 100):
        peer.send(say(s, bytes(size)) * min(100, count))
        count -= min(100, count)
        await peer.settled()
    after = tracemalloc.get_traced_memory()[0]
    tracemalloc.stop()
    assert after - before < MOST_HELD
    assert rpc.held > STREAM_WINDOW - size - 600
    rpc.cancel()
    assert rpc.held == 0


async def test_a_message_bigger_than_a_window_is_awaited_once_somebody_reads(line: Line) -> None:
    size = MAX_MESSAGE - 1
    rpc, _, sender = await held(line, message(bytes(size)) + message(b"x") * 100_000)
    assert rpc.held == STREAM_WINDOW
    sending = asyncio.create_task(sender.to_the_end())
    assert len(await first(rpc)) == size
    assert sender.granted <= size + 2 * STREAM_WINDOW
    await asyncio.sleep(0)
    assert rpc.held <= MOST_HELD
    for _ in range(100_000):
        assert await first(rpc) == b"x"
    await sending
    rpc.cancel()


async def test_a_flow_takes_messages_of_any_size(line: Line) -> None:
    sizes = [3_000_000, 0, 70_000, 5, 200_000, STREAM_WINDOW - 5, STREAM_WINDOW]
    rpc, _, sender = await held(line, b"".join(message(bytes(size)) for size in sizes))
    got: list[int] = []

    def take(content: bytes) -> bool:
        got.append(len(content))
        return len(got) < len(sizes)

    sending = asyncio.create_task(sender.to_the_end())
    async with asyncio.timeout(PATIENCE):
        await rpc.flow(take)
    await sending
    assert got == sizes
    assert rpc.held == 0
    rpc.cancel()


async def test_a_reader_that_left_a_message_half_way_can_come_back(line: Line) -> None:
    rpc, _, sender = await held(line, message(bytes(500_000)))
    sending = asyncio.create_task(sender.to_the_end())
    reading = asyncio.create_task(rpc.read())
    await asyncio.sleep(0)
    reading.cancel()
    await asyncio.wait([reading])
    assert len(await first(rpc)) == 500_000
    await sending
    rpc.cancel()


async def test_a_server_that_sends_more_than_it_may_is_stopped(line: Line) -> None:
    rpc, peer, sender = await held(line, bytes(STREAM_WINDOW))
    peer.send(frame(DATA, 0, 1, b"\0"))
    assert (await peer.until(RST_STREAM))[2:] == (1, word(FLOW_CONTROL_ERROR))
    told = await story(rpc)
    assert (told.messages, told.code) == ([], Code.INTERNAL)
    assert sender.sent == STREAM_WINDOW


async def test_padding_counts(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s))
    padded = frame(DATA, PADDED, s, b"\xff" + message(b"x") + bytes(255))
    granted, sent = STREAM_WINDOW, 0
    for _ in range(2000):
        while granted - sent < 262:
            granted += (await peer.until(WINDOW_UPDATE)).number
        sent += 262
        peer.send(padded)
        assert await first(rpc) == b"x"
    assert granted <= sent + STREAM_WINDOW
    rpc.cancel()


async def test_the_connections_window_is_refilled_whoever_reads(line: Line) -> None:
    rpc, peer, s = await line.call()
    rpc.cancel()
    late = b"".join(pieces(s, bytes(REFILL_AT // 16)))  # for a call that is over
    for _ in range(16):
        peer.send(late)
    while (update := await peer.until(WINDOW_UPDATE)).stream:
        pass
    assert update.number >= REFILL_AT


async def test_a_large_request_waits_for_both_windows(line: Line) -> None:
    request = bytes(range(256)) * 1000
    rpc = line.open(request)
    peer = await line.server.peer()
    sent = b""
    while len(sent) < 65_535:
        sent += (await peer.until(DATA)).payload
    assert len(sent) == 65_535
    peer.send(widen(1, 10**6))
    await peer.settled()  # the connection's is still empty
    peer.send(widen(0, 4465))
    sent += (await peer.until(DATA)).payload
    assert len(sent) == 70_000
    peer.send(widen(0, 10**6))
    while not (piece := await peer.until(DATA)).flags & END_STREAM:
        sent += piece.payload
    assert sent + piece.payload == message(request)
    peer.send(begin(1), end(1))
    assert await code(rpc) is Code.OK


async def test_large_requests_take_turns(line: Line) -> None:
    rpcs = [line.open(bytes(100_000)) for _ in range(3)]
    peer = await line.server.peer(WIDE)
    await peer.settled()
    peer.send(widen(0, 10**6))
    order: list[int] = []
    ended = 0
    while ended < 3:
        piece = await peer.until(DATA)
        order.append(piece.stream)
        ended += piece.flags & END_STREAM
    assert order[-6:] in ([1, 3, 5, 1, 3, 5], [3, 5, 1, 3, 5, 3], [3, 5, 3, 5, 3, 5], [1, 3, 5, 3, 5, 5])
    for rpc in rpcs:
        rpc.cancel()


async def test_a_small_request_passes_a_large_one_that_waits(line: Line) -> None:
    large = line.open(bytes(1000))
    peer = await line.server.peer([(4, 500)])
    assert len((await peer.until(DATA)).payload) == 500
    small = line.open(b"x")
    piece = await peer.until(DATA)
    assert (piece.stream, piece.flags) == (3, END_STREAM)
    large.cancel()
    assert (await peer.until(RST_STREAM, DATA)).kind == RST_STREAM
    small.cancel()


async def test_an_answer_may_come_before_the_request_is_out(line: Line) -> None:
    rpc = line.open(bytes(100_000))
    peer = await line.server.peer()
    await peer.settled()
    peer.send(begin(1), say(1, b"enough"), end(1))
    assert await story(rpc) == Story([b"enough"], Code.OK)
    assert (await peer.until(RST_STREAM)).stream == 1
    peer.send(widen(1, 10**6), widen(0, 10**6))
    await peer.settled()
    following = line.open(b"x")
    assert (await peer.until(DATA)).stream == 3
    following.cancel()


@pytest.mark.parametrize(
    ("updates", "error"),
    [
        ([widen(0, 0)], PROTOCOL_ERROR),
        ([widen(0, 2**31 - 1)], FLOW_CONTROL_ERROR),
        ([widen(0, 2**30)] * 2, FLOW_CONTROL_ERROR),
        ([widen(1, 2**30), frame(SETTINGS, 0, 0, b"\0\x04\x7f\xff\xff\xff")], FLOW_CONTROL_ERROR),
        ([frame(WINDOW_UPDATE, 0, 0, bytes(3))], 6),
        ([widen(9, 1)], PROTOCOL_ERROR),
    ],
    ids=["nothing", "too much", "too much in sum", "too much by settings", "cut", "for a stream to come"],
)
async def test_wrong_updates_of_the_connections_window(line: Line, updates: list[bytes], error: int) -> None:
    rpc = line.open(bytes(100_000))
    peer = await line.server.peer([(4, 1000)])
    await peer.until(DATA)
    peer.send(*updates)
    assert await code(rpc) is Code.INTERNAL
    assert await peer.dismissed() == error


@pytest.mark.parametrize(("increment", "error"), [(0, PROTOCOL_ERROR), (2**31 - 1, FLOW_CONTROL_ERROR)])
async def test_wrong_updates_of_a_streams_window_end_that_call(line: Line, increment: int, error: int) -> None:
    rpc = line.open(bytes(100_000))
    peer = await line.server.peer([(4, 2000)])
    while (await peer.until(DATA)).stream != 1:
        pass
    peer.send(*[widen(1, increment)] * 2)
    assert await code(rpc) is Code.INTERNAL
    assert (await peer.until(RST_STREAM))[2:] == (1, word(error))
    peer.send(widen(0, 1000))
    following = line.open(b"x")
    assert await peer.request() == 3
    following.cancel()


async def test_a_server_that_reads_nothing_makes_calls_wait_not_memory_grow(line: Line) -> None:
    rpcs = [line.channel.open(METHOD, bytes(MAX_MESSAGE)) for _ in range(8)]
    peer = await line.server.peer(WIDE)
    await peer.until(DATA)
    peer.send(widen(0, 2**30))
    (connection,) = line.channel._connections
    transport = connection._transport
    assert transport is not None
    await until(lambda: connection._outflow.paused)  # the kernel takes no more
    assert transport.get_write_buffer_size() < 128 * 1024
    late = line.open(b"late")
    assert line.channel._waiting
    for stream in range(1, 2 * len(rpcs), 2):
        peer.send(begin(stream), end(stream))
    assert [await code(rpc) for rpc in rpcs] == [Code.OK] * 8
    while (taken := await peer.until(DATA)).stream != 17:
        pass
    assert taken.payload == message(b"late")
    late.cancel()
