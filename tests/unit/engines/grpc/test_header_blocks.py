"""Header blocks in every wrapping that is allowed, and those that break the connection."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engines.grpc.api import Code
from engines.grpc.http2.response import KEPT_BLOCKS, KEPT_SIZE, Heads
from tests.support.grpc_transports import Story, story
from tests.support.raw_grpc import (
    BEGIN,
    CONTINUATION,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    PING,
    PRIORITISED,
    begin,
    end,
    field,
    frame,
    say,
    trailers,
    word,
)
from tests.unit.engines.grpc.conftest import Line

PROTOCOL_ERROR, FRAME_SIZE_ERROR, COMPRESSION_ERROR, ENHANCE_YOUR_CALM = 1, 6, 9, 11
PRIORITY = word(0) + b"\x10"

WRAPPINGS: dict[str, Callable[[int, bytes, int], bytes]] = {
    "plain": lambda s, block, flags: frame(HEADERS, flags | END_HEADERS, s, block),
    "padded": lambda s, block, flags: frame(HEADERS, flags | END_HEADERS | PADDED, s, b"\x07" + block + bytes(7)),
    "no padding": lambda s, block, flags: frame(HEADERS, flags | END_HEADERS | PADDED, s, b"\0" + block),
    "prioritised": lambda s, block, flags: frame(HEADERS, flags | END_HEADERS | PRIORITISED, s, PRIORITY + block),
    "both": lambda s, block, flags: frame(
        HEADERS, flags | END_HEADERS | PADDED | PRIORITISED, s, b"\x02" + PRIORITY + block + bytes(2)
    ),
    "continued": lambda s, block, flags: b"".join(
        (
            frame(HEADERS, flags, s, block[:1]),
            frame(CONTINUATION, 0, s, block[1:9]),
            frame(CONTINUATION, 0, s),
            frame(CONTINUATION, END_HEADERS, s, block[9:]),
        )
    ),
    "padded and continued": lambda s, block, flags: (
        frame(HEADERS, flags | PADDED, s, b"\x03" + block[:4] + bytes(3))
        + frame(CONTINUATION, END_HEADERS, s, block[4:])
    ),
}


@pytest.mark.parametrize("wrapping", WRAPPINGS)
async def test_a_block_is_read_in_any_wrapping(line: Line, wrapping: str) -> None:
    rpc, peer, s = await line.call()
    wrap = WRAPPINGS[wrapping]
    peer.send(wrap(s, b"\x20" + BEGIN, 0), say(s, b"a"), wrap(s, trailers(5, b"gone"), END_STREAM))
    assert await story(rpc) == Story([b"a"], Code.NOT_FOUND, "gone")


BREAKING: dict[str, tuple[Callable[[int], bytes], int]] = {
    "interrupted by a ping": (lambda s: frame(HEADERS, 0, s, BEGIN) + frame(PING, 0, 0, bytes(8)), PROTOCOL_ERROR),
    "interrupted by data": (lambda s: begin(s) + frame(HEADERS, 1, s, b"") + say(s, b"x"), PROTOCOL_ERROR),
    "continued elsewhere": (
        lambda s: frame(HEADERS, 0, s, BEGIN) + frame(CONTINUATION, END_HEADERS, s + 2), PROTOCOL_ERROR
    ),
    "nothing to continue": (lambda s: frame(CONTINUATION, END_HEADERS, s, BEGIN), PROTOCOL_ERROR),
    "without end": (
        lambda s: frame(HEADERS, 0, s, BEGIN) + frame(CONTINUATION, 0, s, bytes(16_000)) * 17, ENHANCE_YOUR_CALM
    ),
    "more padding than payload": (lambda s: frame(HEADERS, END_HEADERS | PADDED, s, b"\x09abc"), PROTOCOL_ERROR),
    "no room for padding": (lambda s: frame(HEADERS, END_HEADERS | PADDED, s), FRAME_SIZE_ERROR),
    "a cut priority": (lambda s: frame(HEADERS, END_HEADERS | PRIORITISED, s, bytes(4)), FRAME_SIZE_ERROR),
    "cut in a field": (lambda s: frame(HEADERS, END_HEADERS, s, BEGIN[:-1]), COMPRESSION_ERROR),
    "a table that we do not have": (lambda s: frame(HEADERS, END_HEADERS, s, b"\x3f\x01" + BEGIN), COMPRESSION_ERROR),
    "an entry of that table": (lambda s: frame(HEADERS, END_HEADERS, s, BEGIN + b"\xbe"), COMPRESSION_ERROR),
    "entry 0": (lambda s: frame(HEADERS, END_HEADERS, s, b"\x80"), COMPRESSION_ERROR),
    "on no stream": (lambda _: frame(HEADERS, END_HEADERS, 0, BEGIN), PROTOCOL_ERROR),
    "on a stream of the server's": (lambda _: frame(HEADERS, END_HEADERS, 2, BEGIN), PROTOCOL_ERROR),
    "on a stream to come": (lambda s: frame(HEADERS, END_HEADERS, s + 2, BEGIN), PROTOCOL_ERROR),
}  # fmt: skip


@pytest.mark.parametrize("how", BREAKING)
async def test_what_breaks_the_connection(line: Line, how: str) -> None:
    build, error = BREAKING[how]
    rpc, peer, s = await line.call()
    peer.send(build(s))
    told = await story(rpc)
    assert (told.messages, told.code) == ([], Code.INTERNAL)
    assert await peer.dismissed() == error


async def test_a_field_marked_for_the_table_is_read_and_not_kept(line: Line) -> None:
    rpc, peer, s = await line.call()
    marked = b"\x88\x5f\x10application/grpc"  # content-type by its index, to be put into the table
    peer.send(frame(HEADERS, END_HEADERS, s, marked), end(s))
    assert await story(rpc) == Story([], Code.OK)
    rpc = line.open()
    s = await peer.request()
    peer.send(frame(HEADERS, END_HEADERS, s, b"\x88\xbe"))  # as if it had been
    assert (await story(rpc)).code is Code.INTERNAL
    assert await peer.dismissed() == COMPRESSION_ERROR


def test_what_is_remembered_of_blocks_is_bounded() -> None:
    heads = Heads()
    for number in range(3 * KEPT_BLOCKS):
        heads.read(BEGIN + field(b"number", b"%d" % number))
        assert len(heads._known) <= KEPT_BLOCKS
    heads._known.clear()
    long = BEGIN + field(b"x", bytes(126)) * (KEPT_SIZE // 100)
    assert heads.read(long).http == 200
    assert not heads._known


async def test_huffman_coded_fields_are_read(line: Line) -> None:
    from hpack import Encoder

    encoder = Encoder()
    encoder.header_table_size = 0
    rpc, peer, s = await line.call()
    block = encoder.encode([(b":status", b"200"), (b"content-type", b"application/grpc+proto")], huffman=True)
    closing = encoder.encode([(b"grpc-status", b"13"), (b"grpc-message", b"out of memory")], huffman=True)
    peer.send(frame(HEADERS, END_HEADERS, s, block), frame(HEADERS, END_HEADERS | END_STREAM, s, closing))
    assert await story(rpc) == Story([], Code.INTERNAL, "out of memory")


@pytest.mark.parametrize("flags", [0, END_STREAM])
async def test_a_list_that_unpacks_to_too_much_ends_its_call_alone(line: Line, flags: int) -> None:
    rpc, peer, s = await line.call()
    peer.send(frame(HEADERS, END_HEADERS | flags, s, b"\x88" * 16_000))
    assert (await story(rpc)).code is Code.INTERNAL
    following = line.open()
    s = await peer.request()
    long = trailers(13) + b"\0\x0cgrpc-message\x7f\x81\xf3\x03" + b"x" * 64_000  # a length of 127 + 63,873
    peer.send(begin(s), frame(HEADERS, END_STREAM, s, long[:16_000]))
    for at in range(16_000, len(long), 16_000):
        peer.send(frame(CONTINUATION, END_HEADERS * (at + 16_000 >= len(long)), s, long[at : at + 16_000]))
    told = await story(following)
    assert (told.code, len(told.details)) == (Code.INTERNAL, 64_000)
