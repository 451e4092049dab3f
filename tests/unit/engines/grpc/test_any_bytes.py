"""The same bytes mean the same however they arrive, and no bytes whatever do harm."""

from __future__ import annotations

import asyncio
import random
from itertools import pairwise
from typing import cast

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.grpc.api import Code
from engines.grpc.http2.channel import Http2Channel
from engines.grpc.http2.connection import Connection
from engines.grpc.http2.stream import Stream
from tests.support import raw_grpc as raw
from tests.support.examples import thorough
from tests.support.grpc_transports import Story, story
from tests.unit.engines.grpc.conftest import METHOD

STREAMS = (1, 3, 5)
PADDING = st.none() | st.integers(0, 40)
MESSAGE = st.binary(max_size=40) | st.sampled_from([b"", bytes(400), bytes(20_000)])


class Deaf:
    """A transport that takes everything."""

    def __init__(self) -> None:
        self.closing = False

    def write(self, data: bytes) -> None:
        assert not self.closing

    def close(self) -> None:
        self.closing = True

    abort = close


class Bench:
    """A connection with three calls whose server is a string of bytes."""

    def __init__(self) -> None:
        self.channel = Http2Channel("nowhere:1", tls=None, connections=1, max_message=30_000, connect_timeout=1)
        self.connection = Connection(asyncio.get_running_loop(), self.channel, self.channel._heads)
        self.transport = Deaf()
        self.connection.connection_made(cast("asyncio.Transport", self.transport))
        self.connection.data_received(raw.settings())
        self.channel._connections.add(self.connection)
        self.channel._ready.append(self.connection)
        self.calls = [self.channel.open(METHOD, b"please", timeout=1000) for _ in STREAMS]

    def feed(self, data: bytes, cuts: list[int]) -> None:
        borders = sorted({cut % (len(data) + 1) for cut in cuts} | {0, len(data)})
        for start, end in pairwise(borders):
            if not self.transport.closing:  # a closed transport receives no more
                self.connection.data_received(data[start:end])

    async def stories(self, *, flowing: bool) -> list[Story]:
        return list(await asyncio.gather(*(told(rpc, flowing=flowing) for rpc in self.calls)))

    def hang_up(self) -> None:
        self.connection.connection_lost(None)
        assert not self.connection.streams
        assert not self.channel._deadlines._streams
        assert not self.channel._waiting
        self.channel._closed = True
        self.channel._deadlines.close()


async def told(rpc: Stream, *, flowing: bool) -> Story:
    got: list[bytes] = []

    def take(message: bytes) -> bool:
        got.append(message)
        return True

    if flowing:
        await rpc.flow(take)
    rest = await story(rpc)
    return Story(got + rest.messages, rest.code, rest.details)


def padded(kind: int, flags: int, stream: int, payload: bytes, padding: int | None) -> bytes:
    if padding is None:
        return raw.frame(kind, flags, stream, payload)
    return raw.frame(kind, flags | raw.PADDED, stream, bytes((padding,)) + payload + bytes(padding))


@st.composite
def header_block(draw: st.DrawFn, stream: int, block: bytes, flags: int) -> bytes:
    """Whole or continued, padded or not."""
    cuts = sorted(draw(st.lists(st.integers(0, len(block)), max_size=3)))
    parts = [block[start:end] for start, end in zip([0, *cuts], [*cuts, len(block)], strict=True)]
    last = len(parts) - 1
    whole = raw.END_HEADERS if not last else 0
    said = padded(raw.HEADERS, flags | whole, stream, parts[0], draw(PADDING))
    for number, part in enumerate(parts[1:], 1):
        said += raw.frame(raw.CONTINUATION, raw.END_HEADERS if number == last else 0, stream, part)
    return said


@st.composite
def answer(draw: st.DrawFn, stream: int) -> tuple[list[bytes], Story]:
    """The frames of one answer, and what they tell."""
    messages = draw(st.lists(MESSAGE, max_size=5))
    code = draw(st.sampled_from([Code.OK, Code.INTERNAL, Code.UNAVAILABLE]))
    data = b"".join(map(raw.message, messages))
    frames = [draw(header_block(stream, raw.BEGIN, 0))]
    at = 0
    borders = draw(st.lists(st.integers(0, len(data)), max_size=4)) if draw(st.booleans()) else []
    if not borders:  # each message in a frame of its own, as servers usually do
        borders = [sum(len(message) + 5 for message in messages[:n]) for n in range(len(messages))]
    for border in [*sorted(borders), len(data)]:
        while at < border:
            size = min(border - at, 16_000)
            frames.append(padded(raw.DATA, 0, stream, data[at : at + size], draw(PADDING)))
            at += size
    frames.append(draw(header_block(stream, raw.trailers(code, b"why" if code else b""), raw.END_STREAM)))
    return frames, Story(messages, code, "why" if code else "")


ASIDE = st.sampled_from(
    [
        raw.frame(raw.PING, 0, 0, b"whatever"), raw.frame(0x77, 0x5A, 3, b"x"), raw.frame(0x78, 0, 0),
        raw.frame(raw.WINDOW_UPDATE, 0, 0, raw.word(5)), raw.frame(raw.PRIORITY, 0, 1, bytes(5)),
        raw.settings([(4, 70_000), (5, 20_000)]), raw.frame(raw.SETTINGS, raw.ACK, 0),
    ]
)  # fmt: skip


@st.composite
def answers(draw: st.DrawFn) -> tuple[bytes, list[Story]]:
    """Three answers, mixed with one another and with what concerns none of them."""
    told = [draw(answer(stream)) for stream in STREAMS]
    queues = [list(frames) for frames, _ in told]
    said = b""
    dice = random.Random(draw(st.integers(0, 2**16)))
    while any(queues):
        said += dice.choice([queue for queue in queues if queue]).pop(0)
        if dice.random() < 0.3:
            said += draw(ASIDE)
    return said, [tale for _, tale in told]


CUTS = st.lists(st.integers(0, 2**20), max_size=12)


@pytest.mark.parametrize("flowing", [False, True])
@given(told=answers(), cuts=CUTS)
@thorough(150)
def test_any_split_of_any_wrapping_tells_the_same(
    told: tuple[bytes, list[Story]], cuts: list[int], *, flowing: bool
) -> None:
    async def tell() -> None:
        data, expected = told
        bench = Bench()
        telling = asyncio.create_task(bench.stories(flowing=flowing))
        await asyncio.sleep(0)
        bench.feed(data, cuts)
        assert await telling == expected
        bench.hang_up()

    asyncio.run(tell())


@given(told=answers())
@settings(max_examples=20)
def test_even_byte_by_byte(told: tuple[bytes, list[Story]]) -> None:
    async def tell() -> None:
        data, expected = told
        bench = Bench()
        bench.feed(data, list(range(min(len(data), 2000))))
        assert await bench.stories(flowing=False) == expected
        bench.hang_up()

    asyncio.run(tell())


@pytest.mark.parametrize("flowing", [False, True])
@given(
    told=answers(),
    cuts=CUTS,
    changes=st.lists(st.tuples(st.integers(0, 2**20), st.integers(0, 255)), min_size=1, max_size=8),
)
@thorough(300)
def test_corrupted_bytes_end_calls_and_nothing_else(
    told: tuple[bytes, list[Story]], cuts: list[int], changes: list[tuple[int, int]], *, flowing: bool
) -> None:
    async def tell() -> None:
        data = bytearray(told[0])
        for at, value in changes:
            data[at % min(len(data), 3000)] = value
        bench = Bench()
        telling = asyncio.create_task(bench.stories(flowing=flowing))
        await asyncio.sleep(0)
        bench.feed(bytes(data), cuts)
        bench.hang_up()
        assert len(await telling) == 3  # each told by messages, by OK or by an RpcError

    asyncio.run(tell())


@given(data=st.binary(max_size=300), cuts=CUTS)
@thorough(200)
def test_noise_is_no_server(data: bytes, cuts: list[int]) -> None:
    async def tell() -> None:
        bench = Bench()
        bench.feed(data, cuts)
        bench.hang_up()
        assert {tale.code for tale in await bench.stories(flowing=False)} <= {Code.INTERNAL, Code.UNAVAILABLE}

    asyncio.run(tell())
