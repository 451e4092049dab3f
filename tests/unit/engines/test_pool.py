"""P04: connections are reused, bounded, replaced when stale, and never lost, whatever is cancelled when."""

from __future__ import annotations

import asyncio
import random

import pytest
import uvloop

from engines.api import EngineError, Failed, Overloaded, TimedOut, Timers, Unreachable
from engines.http import Pool, read_all
from loadtests.fleet import Fleet
from tests.support.waiting import PATIENCE, until
from tests.support.wire_server import POST, Answers, ok, serving


async def fetch(pool: Pool) -> bytes:
    return (await pool.fetch("POST", "/", b"body"))[1]


async def test_p04_one_after_the_other_takes_one_connection() -> None:
    answers = Answers([ok(b"hello")])
    async with serving(answers) as pool:
        assert [await fetch(pool) for _ in range(20)] == [b"hello"] * 20
        assert answers.connections == 1


async def test_p04_the_newest_idle_connection_is_taken_first() -> None:
    async with serving(Answers([ok(b"hello")])) as pool:
        first, second = await pool.request(POST), await pool.request(POST)
        for connection in (first, second):
            await read_all(connection)
            connection.release()
        assert await pool.request(POST) is second


async def test_p04_over_the_limit_is_overload_and_room_comes_back() -> None:
    async with serving(Answers([ok(b"hello")]), connections=2) as pool:
        held = [await pool.request(POST) for _ in range(2)]
        with pytest.raises(Overloaded) as caught:
            await pool.request(POST)
        assert caught.value.retry_after
        held[0].abort()
        await until(lambda: len(pool._open) == 1)
        assert await fetch(pool) == b"hello"


async def test_p04_connections_being_made_count_too() -> None:
    async with serving(Answers([ok(b"hello")]), connections=3) as pool:
        got = await asyncio.gather(*(fetch(pool) for _ in range(10)), return_exceptions=True)
        assert sum(one == b"hello" for one in got) == 3
        assert sum(isinstance(one, Overloaded) for one in got) == 7


async def test_p04_a_stale_connection_is_replaced_unseen() -> None:
    """The server closes while the request is on its way: not handled, so sent again on a fresh connection."""
    answers = Answers([ok(b"hello"), b"", ok(b"again")])
    async with serving(answers) as pool:
        assert await fetch(pool) == b"hello"
        answers.after = "close"  # takes effect with the next request, which gets no byte
        assert await fetch(pool) == b"again"
        assert (answers.connections, answers.requests) == (2, 3)


async def test_p04_a_reused_connection_that_breaks_in_the_midst_of_a_head_is_not_tried_again() -> None:
    """A byte of the answer has come: the server has handled the request."""
    answers = Answers([ok(b"hello"), b"HTTP/1.1 200 O", ok(b"again")])
    async with serving(answers) as pool:
        assert await fetch(pool) == b"hello"
        answers.after = "close"
        with pytest.raises(Failed):
            await fetch(pool)
        assert answers.requests == 2


async def test_p04_many_stale_connections_are_replaced_in_one_request() -> None:
    answers = Answers([ok(b"hello")])
    async with asyncio.timeout(PATIENCE), serving(answers) as pool:
        await asyncio.gather(*(fetch(pool) for _ in range(8)))
        assert len(pool._idle) == 8
        for writer in tuple(answers.open):
            writer.close()
        assert await fetch(pool) == b"hello"


async def test_p04_an_idle_connection_is_let_go_before_the_server_does() -> None:
    async with asyncio.timeout(PATIENCE), serving(Answers([ok(b"hello")])) as pool:
        await fetch(pool)
        (connection,) = pool._idle
        assert connection.due < asyncio.get_running_loop().time() + 5
        pool._sweeper.sweep(connection.due + 1)
        await until(lambda: not pool._open)
        assert len(pool._idle) == 0


async def test_p04_an_answer_whose_framing_ends_late_keeps_its_connection() -> None:
    answers = Answers([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"])
    async with asyncio.timeout(PATIENCE), serving(answers) as pool:
        connection = await pool.request(POST)
        await connection.read()
        connection.release(whole=True)
        assert len(pool._idle) == 0
        for writer in answers.open:
            writer.write(b"0\r\n\r\n")
        await until(lambda: pool._idle)


async def test_p04_an_answer_whose_framing_never_ends_loses_its_connection() -> None:
    answers = Answers([b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n"])
    async with asyncio.timeout(PATIENCE), serving(answers) as pool:
        connection = await pool.request(POST)
        await connection.read()
        connection.release(whole=True)
        pool._sweeper.sweep(connection.due + 1)
        assert connection.state == "closed"


async def test_p07_connecting_is_timed() -> None:
    async with Fleet(1) as fleet, serving(Answers([b""]), Timers(connect=0.1)) as pool:
        fleet.replicas[0].listen("backlog_full")
        pool._port = fleet.replicas[0].listener.port
        with pytest.raises(TimedOut) as caught:
            await pool.request(POST)
        assert (caught.value.phase, pool._connecting, len(pool._open)) == ("connect", 0, 0)


async def test_a_closed_pool_makes_no_connections() -> None:
    async with serving(Answers([ok(b"hello")])) as pool:
        await pool.aclose()
        with pytest.raises(Unreachable):
            await fetch(pool)


async def churn(seconds: float) -> None:
    answers = Answers([ok(b"hello")])
    limit = 10
    async with serving(answers, connections=limit) as pool:
        end = asyncio.get_running_loop().time() + seconds
        most = 0

        async def worker(seed: int) -> None:
            nonlocal most
            dice = random.Random(seed)
            while asyncio.get_running_loop().time() < end:
                task = asyncio.ensure_future(fetch(pool))
                done, _ = await asyncio.wait([task], timeout=dice.uniform(0, 0.006))
                most = max(most, len(pool._open) + pool._connecting)
                if not done:
                    task.cancel()
                    await asyncio.wait([task])
                if not task.cancelled():
                    assert isinstance(task.exception(), EngineError | None)

        await asyncio.gather(*(worker(seed) for seed in range(40)))
        assert most <= limit
        assert pool._connecting == 0
        assert [await fetch(pool) for _ in range(100)] == [b"hello"] * 100
        assert len(pool._open) == len(pool._idle) <= limit
        assert len(pool._sweeper._watches) == len(pool._open)


@pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
def test_p04_cancellations_at_random_lose_no_connection(loop: type[asyncio.AbstractEventLoop]) -> None:
    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(churn(1.5))
