"""What a server may answer to one call, and what that means in gRPC's terms."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from engines.grpc.api import Code
from tests.support.grpc_transports import Story, story
from tests.support.raw_grpc import (
    BEGIN,
    DATA,
    END_HEADERS,
    END_STREAM,
    HEADERS,
    PADDED,
    RST_STREAM,
    begin,
    end,
    field,
    frame,
    message,
    pieces,
    say,
    trailers,
    word,
)
from tests.unit.engines.grpc.conftest import MAX_MESSAGE, Line

PROTOCOL_ERROR, CANCEL = 1, 8
GRPC = field(b"content-type", b"application/grpc")


def headers(stream: int, block: bytes, flags: int = 0) -> bytes:
    return frame(HEADERS, END_HEADERS | flags, stream, block)


async def test_a_status_alone(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(headers(s, BEGIN + trailers(9, b"not%20now%0A%e2%98%83%"), END_STREAM))
    assert await story(rpc) == Story([], Code.FAILED_PRECONDITION, "not now\n☃%")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (b"0", Code.OK), (b"16", Code.UNAUTHENTICATED), (b"17", Code.UNKNOWN), (b"-1", Code.UNKNOWN),
        (b"x", Code.UNKNOWN), (b"", Code.UNKNOWN), (b"9" * 100, Code.UNKNOWN),
    ],
)  # fmt: skip
async def test_numbers_of_a_status(line: Line, status: bytes, code: Code) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s), headers(s, field(b"grpc-status", status), END_STREAM))
    assert (await story(rpc)).code is code


@pytest.mark.parametrize(
    ("http", "code"),
    [
        (400, Code.INTERNAL), (401, Code.UNAUTHENTICATED), (403, Code.PERMISSION_DENIED), (404, Code.UNIMPLEMENTED),
        (429, Code.UNAVAILABLE), (500, Code.UNKNOWN), (502, Code.UNAVAILABLE), (503, Code.UNAVAILABLE),
        (504, Code.UNAVAILABLE), (302, Code.UNKNOWN),
    ],
)  # fmt: skip
@pytest.mark.parametrize("ended", [True, False])
async def test_an_http_status_where_no_grpc_server_answers(line: Line, http: int, code: Code, *, ended: bool) -> None:
    rpc, peer, s = await line.call()
    block = field(b":status", b"%d" % http) + field(b"content-type", b"text/html")
    peer.send(headers(s, block, END_STREAM if ended else 0))
    told = await story(rpc)
    assert (told.messages, told.code) == ([], code)
    assert str(http) in told.details
    if not ended:
        assert (await peer.until(RST_STREAM))[2:] == (s, word(CANCEL))


async def test_interim_answers_are_passed_over(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(*(headers(s, field(b":status", status)) for status in (b"100", b"103", b"103")))
    peer.send(begin(s), say(s, b"a"), end(s))
    assert await story(rpc) == Story([b"a"], Code.OK)


# What a server can do to one call that harms no other: the frames, the call's end, how we let go of the stream.
ODD: dict[str, tuple[Callable[[int], bytes], Code, int | None]] = {
    "interim and the end": (lambda s: headers(s, field(b":status", b"100"), END_STREAM), Code.UNKNOWN, None),
    "not gRPC": (lambda s: headers(s, b"\x88" + field(b"content-type", b"text/html")), Code.INTERNAL, CANCEL),
    "no status of HTTP": (lambda s: headers(s, GRPC), Code.INTERNAL, CANCEL),
    "a status of HTTP that is none": (lambda s: headers(s, field(b":status", b"2x0") + GRPC), Code.UNKNOWN, CANCEL),
    "no trailers": (lambda s: begin(s) + frame(DATA, END_STREAM, s), Code.INTERNAL, None),
    "trailers without a status": (lambda s: begin(s) + headers(s, field(b"x", b"y"), END_STREAM), Code.UNKNOWN, None),
    "data before headers": (lambda s: say(s, b"x"), Code.INTERNAL, PROTOCOL_ERROR),
    "headers twice": (lambda s: begin(s) * 2, Code.INTERNAL, PROTOCOL_ERROR),
    "a compressed message": (
        lambda s: begin(s) + frame(DATA, 0, s, message(b"x", compressed=True)), Code.INTERNAL, CANCEL
    ),
    "a message over the limit": (
        lambda s: begin(s) + frame(DATA, 0, s, b"\0" + word(MAX_MESSAGE + 1) + b"x"), Code.RESOURCE_EXHAUSTED, CANCEL
    ),
    "an end within a message": (
        lambda s: begin(s) + frame(DATA, 0, s, b"\0" + word(9) + b"x") + end(s), Code.INTERNAL, None
    ),
    "an end within a prefix": (lambda s: begin(s) + frame(DATA, 0, s, bytes(4)) + end(s), Code.INTERNAL, None),
}  # fmt: skip


@pytest.mark.parametrize("flowing", [False, True])
@pytest.mark.parametrize("how", ODD)
async def test_an_answer_that_is_none_ends_its_call_alone(line: Line, how: str, *, flowing: bool) -> None:
    build, code, reset = ODD[how]
    rpc, peer, s = await line.call()
    sibling = line.open()
    other = await peer.request()
    peer.send(build(s))
    if flowing:
        await rpc.flow(lambda _: True)
    told = await story(rpc)
    assert (told.messages, told.code) == ([], code)
    if reset is not None:
        assert (await peer.until(RST_STREAM))[2:] == (s, word(reset))
    peer.send(begin(other), say(other, b"a"), end(other))
    assert await story(sibling) == Story([b"a"], Code.OK)
    rpc.cancel()
    assert (await story(rpc)).code is code


async def test_an_error_of_the_server_counts_more_than_a_cut_message(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s), frame(DATA, 0, s, bytes(4)), end(s, 8))
    assert (await story(rpc)).code is Code.RESOURCE_EXHAUSTED


@pytest.mark.parametrize("flowing", [False, True])
@pytest.mark.parametrize("size", [1, 4, 5, 6, 9, 250, 16_384])
async def test_messages_need_not_keep_to_frames(line: Line, size: int, *, flowing: bool) -> None:
    contents = [b"", b"one", b"x" * 30 * size, b"", b"", b"six", bytes(5)]
    rpc, peer, s = await line.call()
    peer.send(begin(s), *pieces(s, b"".join(map(message, contents)), size), end(s))
    got: list[bytes] = []

    def take(content: bytes) -> bool:
        got.append(content)
        return True

    if flowing:
        await rpc.flow(take)
    told = await story(rpc)
    assert (got + told.messages, told.code) == (contents, Code.OK)


async def test_padded_data_is_as_good_as_other(line: Line) -> None:
    rpc, peer, s = await line.call()
    for padding in (0, 1, 255):
        content = bytes((padding,)) + message(b"%d" % padding) + bytes(padding)
        peer.send(begin(s) if not padding else b"", frame(DATA, PADDED, s, content))
    peer.send(end(s))
    assert await story(rpc) == Story([b"0", b"1", b"255"], Code.OK)


async def test_an_exception_of_a_reader_is_its_own(line: Line) -> None:
    rpc, peer, s = await line.call()
    sibling = line.open()
    other = await peer.request()

    def refuse(content: bytes) -> bool:
        raise ZeroDivisionError(content)

    peer.send(begin(s), say(s, b"a"), say(s, b"b"), begin(other), end(other))
    with pytest.raises(ZeroDivisionError):
        await rpc.flow(refuse)
    assert await story(sibling) == Story([], Code.OK)
    assert await rpc.read() == b"b"
    rpc.cancel()
