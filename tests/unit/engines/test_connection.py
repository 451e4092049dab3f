"""One response on one connection: every framing there is, every way to break it, and never more memory than bounded."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from engines.api import EngineError, Failed, TimedOut, Timers, Unreachable
from engines.connection import PAUSE_AT
from engines.http import read_all
from tests.support.waiting import PATIENCE, until
from tests.support.wire_server import POST, After, Answers, ok, serving

CHUNKED = b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
WHOLE: dict[str, tuple[bytes, After, bool]] = {
    "length": (ok(b"hello"), "keep", True),
    "chunked": (CHUNKED + b"2\r\nhe\r\n3;x=y\r\nllo\r\n0\r\n\r\n", "keep", True),
    "trailers": (CHUNKED + b"5\r\nhello\r\n0\r\ncontent-type: evil\r\nx-more: 1\r\n\r\n", "keep", True),
    "until_close": (b"HTTP/1.1 200 OK\r\n\r\nhello", "close", False),
    "old_until_close": (b"HTTP/1.0 200 OK\r\n\r\nhello", "close", False),
    "old_keep_alive": (b"HTTP/1.0 200 OK\r\nconnection: keep-alive\r\ncontent-length: 5\r\n\r\nhello", "keep", True),
    "asks_to_close": (ok(b"hello", b"connection: close"), "keep", False),
    "interim": (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n" + ok(b"hello"), "keep", True),
    "odd_names": (b"HTTP/1.1 200 OK\r\nCONTENT-Length:   5\r\n\r\nhello", "keep", True),
}
BROKEN: dict[str, tuple[bytes, After]] = {
    "garbage": (b"SSH-2.0-OpenSSH_9.6\r\n\r\n", "silent"),
    "no_head": (b"HTTP/1.1 200 OK\r\ncontent-le", "close"),
    "large_head": (b"HTTP/1.1 200 OK\r\n" + b"x: " + 400_000 * b"y", "silent"),
    "endless_hints": (10_000 * b"HTTP/1.1 103 Early Hints\r\nx: y\r\n\r\n", "silent"),
    "two_framings": (b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\ntransfer-encoding: chunked\r\n\r\nhello", "keep"),
    "bad_length": (b"HTTP/1.1 200 OK\r\ncontent-length: five\r\n\r\nhello", "keep"),
    "bad_chunk": (CHUNKED + b"zz\r\nhello\r\n", "silent"),
    "short": (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", "close"),
    "short_reset": (b"HTTP/1.1 200 OK\r\ncontent-length: 50\r\n\r\nhello", "reset"),
    "chunks_without_end": (CHUNKED + b"5\r\nhello\r\n", "close"),
    "until_reset": (b"HTTP/1.1 200 OK\r\n\r\nhello", "reset"),
    "switched": (b"HTTP/1.1 101 Switching Protocols\r\nupgrade: x\r\nconnection: upgrade\r\n\r\n", "silent"),
}


@pytest.mark.parametrize("name", WHOLE)
async def test_p04_every_framing_is_read_to_its_end_and_kept_only_if_it_can_be(name: str) -> None:
    data, after, kept = WHOLE[name]
    answers = Answers([data], after)
    async with serving(answers) as pool:
        for _ in range(2):
            connection = await pool.request(POST)
            assert (connection.status, await read_all(connection)) == (200, b"hello")
            assert connection.headers.get(b"content-type") is None
            connection.release()
            assert len(pool._idle) == int(kept)
        assert answers.connections == (1 if kept else 2)


@pytest.mark.parametrize("name", BROKEN)
async def test_p06_every_broken_response_is_a_failure(name: str) -> None:
    answers = Answers([BROKEN[name][0]], BROKEN[name][1])
    async with asyncio.timeout(PATIENCE), serving(answers) as pool:
        with pytest.raises(Failed):  # noqa: PT012  # before or after the head
            connection = await pool.request(POST)
            try:
                await read_all(connection)
            finally:
                connection.release()
        assert len(pool._idle) == 0
        assert answers.requests == 1  # a byte has come: not a lost race, not sent again


@pytest.mark.parametrize("after", ["close", "reset"])
async def test_no_answer_at_all_on_a_fresh_connection_is_unreachable(after: After) -> None:
    answers = Answers([b""], after)
    async with serving(answers) as pool:
        with pytest.raises(Unreachable):
            await pool.request(POST)
        assert answers.requests == 1


@pytest.mark.parametrize("status", [204, 304])
async def test_a_status_without_a_body_ends_at_its_head(status: int) -> None:
    answers = Answers([b"HTTP/1.1 %d X\r\n\r\n" % status])
    async with serving(answers) as pool:
        for _ in range(2):
            connection = await pool.request(POST)
            assert await read_all(connection) == b""
            connection.release()
        assert answers.connections == 1


async def test_bytes_behind_a_whole_answer_end_the_connection() -> None:
    answers = Answers([ok(b"hello") + b"HTTP/1.1 200 OK\r\n\r\n"])
    async with asyncio.timeout(PATIENCE), serving(answers) as pool:
        connection = await pool.request(POST)
        with contextlib.suppress(EngineError):  # as good: only, it must not be served on
            assert await read_all(connection) == b"hello"
        connection.release()
        assert len(pool._idle) == 0


async def test_bytes_that_nobody_asked_for_end_an_idle_connection() -> None:
    answers = Answers([ok(b"hello")])
    async with asyncio.timeout(PATIENCE), serving(answers) as pool:
        connection = await pool.request(POST)
        await read_all(connection)
        connection.release()
        for writer in answers.open:
            writer.write(b"HTTP/1.1 408 Request Timeout\r\n\r\n")
        await until(lambda: not pool._open)
        assert len(pool._idle) == 0


async def test_p21_a_reader_that_is_behind_holds_back_the_server() -> None:
    answers = Answers([ok(bytes(30_000_000))])
    async with asyncio.timeout(PATIENCE), serving(answers) as pool:
        connection = await pool.request(POST)
        await until(lambda: connection.paused)
        assert connection._buffered <= PAUSE_AT + 256 * 1024
        assert len(await read_all(connection)) == 30_000_000
        connection.release()


async def test_a_unary_answer_is_bounded() -> None:
    async with serving(Answers([ok(bytes(3_000_000))])) as pool:
        connection = await pool.request(POST)
        with pytest.raises(Failed, match="too large"):
            await read_all(connection, bound=50_000)
        connection.release()
        assert connection.state == "closed"


async def test_p07_silence_is_timed_by_phase() -> None:
    timers = Timers(first_token=0.1, inter_token=0.2)
    answers = Answers([CHUNKED + b"5\r\nhello\r\n"], "silent")
    async with asyncio.timeout(PATIENCE), serving(answers, timers) as pool:
        connection = await pool.request(POST)
        assert await connection.read() == b"hello"
        with pytest.raises(TimedOut) as first:
            await connection.read()
        again = await pool.request(POST)
        await again.read()
        again.content_began()
        with pytest.raises(TimedOut) as later:
            await again.read()
        assert (first.value.phase, later.value.phase) == ("first_token", "inter_token")


@pytest.mark.parametrize("head", [b"", CHUNKED])
async def test_closing_the_pool_wakes_whoever_waits(head: bytes) -> None:
    async with asyncio.timeout(PATIENCE), serving(Answers([head], "silent")) as pool:

        async def ask() -> bytes:
            return await read_all(await pool.request(POST))

        waiting = asyncio.create_task(ask())
        await until(lambda: any(one._waiter for one in pool._open))
        await pool.aclose()
        with pytest.raises(EngineError):
            await waiting
