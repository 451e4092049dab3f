"""Streams and connections that end: by either side, in pieces, late, again, or not at all."""

from __future__ import annotations

import asyncio
import ssl
from pathlib import Path

import pytest

from engines.grpc.api import Code
from engines.grpc.http2.channel import Http2Channel
from engines.grpc.http2.frames import MAX_STREAM
from engines.grpc.tls import Tls
from tests.support.certificates import localhost
from tests.support.grpc_transports import Story, code, first, story
from tests.support.raw_grpc import (
    ACK,
    BEGIN,
    DATA,
    END_HEADERS,
    END_STREAM,
    GOAWAY,
    HEADERS,
    PING,
    PRIORITY,
    RST_STREAM,
    WINDOW_UPDATE,
    begin,
    end,
    field,
    frame,
    raw_serving,
    say,
    word,
)
from tests.support.waiting import PATIENCE, until
from tests.unit.engines.grpc.conftest import METHOD, Line

PROTOCOL_ERROR, CANCEL, REFUSED_STREAM = 1, 8, 7
FOREVER = 2**31 - 1


def reset(stream: int, error: int) -> bytes:
    return frame(RST_STREAM, 0, stream, word(error))


def goaway(last: int, error: int = 0, words: bytes = b"") -> bytes:
    return frame(GOAWAY, 0, 0, word(last) + word(error) + words)


@pytest.mark.parametrize(
    ("error", "code"),
    [
        (0, Code.INTERNAL), (1, Code.INTERNAL), (2, Code.INTERNAL), (REFUSED_STREAM, Code.UNAVAILABLE),
        (CANCEL, Code.CANCELLED), (11, Code.RESOURCE_EXHAUSTED), (12, Code.PERMISSION_DENIED), (99, Code.INTERNAL),
    ],
)  # fmt: skip
async def test_a_reset_stream_is_an_ended_call(line: Line, error: int, code: Code) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s), say(s, b"a"), reset(s, error))
    told = await story(rpc)
    assert (told.messages, told.code) == ([b"a"], code)
    following = line.open()
    s = await peer.request()
    peer.send(begin(s), end(s))
    assert await story(following) == Story([], Code.OK)


async def test_cancelling_tells_the_server_in_the_same_breath(line: Line) -> None:
    rpc, peer, s = await line.call()
    (connection,) = line.channel._connections
    written: list[bytes] = []
    transport = connection._transport
    assert transport is not None
    connection.write = written.append  # type: ignore[method-assign, assignment]
    rpc.cancel()
    assert written == [reset(s, CANCEL)]
    assert not connection.streams
    transport.write(written[0])
    assert (await peer.until(RST_STREAM))[2:] == (s, word(CANCEL))


async def test_frames_for_a_call_that_is_over_are_passed_over(line: Line) -> None:
    rpc, peer, s = await line.call()
    rpc.cancel()
    late = [begin(s), say(s, b"late"), frame(WINDOW_UPDATE, 0, s, word(0)), reset(s, 0), frame(DATA, END_STREAM, s)]
    peer.send(*late, *(end(s, 4), reset(s, 0)) * 4)
    following = line.open()
    s = await peer.request()
    peer.send(begin(s), say(s, b"a"), *(end(s, 4), reset(s, 0)) * 4)
    assert await story(following) == Story([b"a"], Code.DEADLINE_EXCEEDED)
    await peer.settled()


async def test_a_header_block_of_a_call_that_is_over_must_still_be_readable(line: Line) -> None:
    rpc, peer, s = await line.call()
    rpc.cancel()
    other = line.open()
    await peer.request()
    peer.send(frame(HEADERS, END_HEADERS, s, b"\xff\xff\xff"))
    assert await code(other) is Code.INTERNAL
    assert await peer.dismissed() == 9


NEVER_OPENED = {
    "data": say(7, b"x"),
    "an empty frame": frame(DATA, 0, 7),
    "a reset": reset(7, 0),
    "a window": frame(WINDOW_UPDATE, 0, 7, word(1)),
    "data for all": say(0, b"x"),
    "a reset for all": reset(0, 0),
    "an even number": say(2, b"x"),
    "a ping for one": frame(PING, 0, 1, bytes(8)),
    "a farewell for one": frame(GOAWAY, 0, 1, bytes(8)),
}


@pytest.mark.parametrize("what", NEVER_OPENED)
async def test_frames_for_a_stream_that_never_was_break_the_connection(line: Line, what: str) -> None:
    rpc, peer, _ = await line.call()
    peer.send(NEVER_OPENED[what])
    assert await code(rpc) is Code.INTERNAL
    assert await peer.dismissed() == PROTOCOL_ERROR


CUT = {
    "a ping": frame(PING, 0, 0, bytes(7)),
    "a reset": frame(RST_STREAM, 0, 1, bytes(5)),
    "a farewell": frame(GOAWAY, 0, 0, bytes(7)),
}


@pytest.mark.parametrize("what", CUT)
async def test_frames_of_the_wrong_size_break_the_connection(line: Line, what: str) -> None:
    rpc, peer, _ = await line.call()
    peer.send(CUT[what])
    assert await code(rpc) is Code.INTERNAL
    assert await peer.dismissed() == 6


async def test_a_ping_is_answered_and_the_unknown_is_not(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(frame(0x77, 0xFF, s, b"what"), frame(0x78, 0, 0), frame(PRIORITY, 0, s, bytes(5)))
    peer.send(frame(PING, ACK, 0, b"not mine"), frame(PING, 0, 0, b"are you "))
    answered = await peer.until(PING, RST_STREAM, GOAWAY)
    assert (answered.kind, answered.flags, answered.payload) == (PING, ACK, b"are you ")
    peer.send(begin(s), end(s))
    assert await code(rpc) is Code.OK


async def test_a_server_that_goes_away_finishes_what_it_began(line: Line) -> None:
    rpcs = [line.open() for _ in range(3)]
    peer = await line.server.peer()
    streams = [await peer.request() for _ in rpcs]
    peer.send(*map(begin, streams), goaway(FOREVER))
    await peer.settled()
    late = line.open()  # on a new connection already
    following = await line.server.peer()
    assert await following.request() == 1
    peer.send(goaway(3, 0, b"maintenance"))
    told = await story(rpcs[2])
    assert (told.messages, told.code) == ([], Code.UNAVAILABLE)
    peer.send(say(1, b"a"), end(1))
    assert await story(rpcs[0]) == Story([b"a"], Code.OK)
    peer.send(say(3, b"b"), end(3))
    assert await story(rpcs[1]) == Story([b"b"], Code.OK)
    assert GOAWAY in [taken.kind for taken in await peer.gone()]
    following.send(begin(1), end(1))
    assert await code(late) is Code.OK
    assert len(line.channel._connections) == 1


async def test_calls_that_wait_are_not_given_to_a_server_that_goes_away(line: Line) -> None:
    rpcs = [line.open() for _ in range(3)]
    peer = await line.server.peer([(3, 1)])
    assert await peer.request() == 1
    peer.send(goaway(0))
    following = await line.server.peer()
    assert [await following.request(), await following.request()] == [1, 3]
    assert await code(rpcs[0]) is Code.UNAVAILABLE
    assert [taken.kind for taken in await peer.gone() if taken.kind == HEADERS] == []
    following.send(begin(1), end(1), begin(3), end(3))
    assert [await code(rpc) for rpc in rpcs[1:]] == [Code.OK] * 2


async def test_a_server_that_goes_away_and_hangs_up_fails_the_rest(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s), say(s, b"a"), goaway(s, 11, b"too_many_pings"))
    assert await first(rpc) == b"a"
    peer.writer.close()
    told = await story(rpc)
    assert told.code is Code.UNAVAILABLE
    assert "too_many_pings" in told.details


async def test_a_server_that_only_ever_goes_away_is_not_asked_without_pause(line: Line) -> None:
    rpc = line.open()
    peer = await line.server.peer(None)
    peer.send(goaway(0))
    assert await code(rpc) is Code.UNAVAILABLE
    assert await code(line.open()) is Code.UNAVAILABLE
    assert not line.channel._connecting


async def test_a_silent_end_of_the_connection_is_unavailable(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s), say(s, b"a"), say(s, b"half")[:-1])
    peer.writer.close()
    told = await story(rpc)
    assert (told.messages, told.code) == ([b"a"], Code.UNAVAILABLE)
    following = line.open()
    again = await line.server.peer()
    assert await again.request() == 1
    following.cancel()


async def test_the_last_number_of_a_connection_is_followed_by_a_new_connection(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s), end(s))
    assert await code(rpc) is Code.OK
    (connection,) = line.channel._connections
    connection._next = MAX_STREAM
    last = line.open()
    assert await peer.request() == MAX_STREAM
    following = line.open()
    again = await line.server.peer()
    assert await again.request() == 1
    peer.send(begin(MAX_STREAM), say(MAX_STREAM, b"a"), end(MAX_STREAM))
    assert await story(last) == Story([b"a"], Code.OK)
    await peer.gone()
    again.send(begin(1), end(1))
    assert await code(following) is Code.OK


async def test_a_deadline_is_told_to_the_server_and_kept_by_us(line: Line) -> None:
    rpc = line.open(timeout=0.1)
    peer = await line.server.peer()
    headers = await peer.until(HEADERS)
    assert b"grpc-timeout" in headers.payload
    assert await code(rpc) is Code.DEADLINE_EXCEEDED
    assert (await peer.until(RST_STREAM))[2:] == (1, word(CANCEL))


async def test_many_deadlines_need_one_timer(line: Line) -> None:
    loop = asyncio.get_running_loop()
    patient = [line.open(timeout=1000 - n) for n in range(50)]
    hasty = [line.open(timeout=0.2 + n / 1000) for n in range(50)]
    peer = await line.server.peer()
    for _ in range(100):
        await peer.request()
    timers = [timer for timer in loop._scheduled if not timer.cancelled()]  # type: ignore[attr-defined]
    assert len([timer for timer in timers if timer._callback == line.channel._deadlines._look]) == 1
    assert [await code(rpc) for rpc in hasty] == [Code.DEADLINE_EXCEEDED] * 50
    for rpc in patient[1:]:
        rpc.cancel()
    assert line.leftovers() == 2  # the one that is left, and its deadline
    peer.send(begin(1), end(1))
    assert await code(patient[0]) is Code.OK


FLOODS = {
    "pings": frame(PING, 0, 0, bytes(8)),
    "settings": frame(4, 0, 0),
    "windows": frame(WINDOW_UPDATE, 0, 1, word(1)),
    "priorities": frame(PRIORITY, 0, 1, bytes(5)),
    "the unknown": frame(0x77, 0, 1, b"x"),
    "empty data": frame(DATA, 0, 1),
    "interim answers": frame(HEADERS, END_HEADERS, 1, field(b":status", b"103")),
    "data of a call that is over": frame(DATA, 0, 3, b"x"),
    "headers of a call that is over": frame(HEADERS, END_HEADERS, 3, BEGIN),
    "resets of a call that is over": frame(RST_STREAM, 0, 3, word(0)),
}


@pytest.mark.parametrize("what", FLOODS)
async def test_a_server_that_says_nothing_ever_so_often_is_left(line: Line, what: str) -> None:
    rpc, peer, _ = await line.call()
    over = line.open()
    await peer.request()
    over.cancel()
    peer.send(begin(1) if what == "empty data" else b"", FLOODS[what] * 25_000)
    told = await story(rpc)
    assert told.code is Code.INTERNAL
    assert "too many frames" in told.details
    await peer.gone()  # the kernel may drop our farewell, as what the server still says is not read


async def test_as_many_messages_are_no_flood(line: Line) -> None:
    rpc, peer, s = await line.call()
    peer.send(begin(s), *(say(s, b"") + frame(PING, ACK, 0, bytes(8)) * (n % 4 == 0) for n in range(20_000)), end(s))
    assert len((await story(rpc)).messages) == 20_000


async def test_a_server_with_tls_has_to_offer_http2() -> None:
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(Path(__file__).parents[3] / "support" / "localhost.pem")
    accepted: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: accepted.append(writer), "127.0.0.1", 0, ssl=context)
    port = server.sockets[0].getsockname()[1]
    channel = Http2Channel(
        f"localhost:{port}",
        tls=Tls(ca=localhost().certificate),
        connections=1,
        max_message=1000,
        connect_timeout=PATIENCE,
    )
    told = await story(channel.open(METHOD, b""))
    assert (told.code, told.details) == (Code.UNAVAILABLE, "no connection: the server does not offer HTTP/2")
    await channel.aclose()
    server.close()
    for writer in accepted:
        writer.transport.abort()
    await server.wait_closed()


async def test_closing_with_a_server_that_reads_nothing_does_not_take_long() -> None:
    async with raw_serving() as server:
        channel = Http2Channel(
            f"127.0.0.1:{server.port}", tls=None, connections=1, max_message=1000, connect_timeout=PATIENCE
        )
        rpcs = [channel.open(METHOD, bytes(9_000_000)) for _ in range(8)]
        peer = await server.peer([(4, 2**31 - 1)])
        await peer.until(DATA)
        peer.send(frame(WINDOW_UPDATE, 0, 0, word(2**30)))
        (connection,) = channel._connections
        await until(lambda: connection._outflow.paused)  # the kernel takes no more
        async with asyncio.timeout(PATIENCE):
            await channel.aclose()
        assert not channel._connections
        assert [await code(rpc) for rpc in rpcs] == [Code.UNAVAILABLE] * 8
