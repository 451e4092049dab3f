"""Who comes too often waits; a store that is away changes neither that nor anything else that callers notice."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager

import pytest
from starlette.responses import PlainTextResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from gateway.admin.guard import PATIENCE, PAUSE, THREADS, Guard, Guarded
from loadtests.bench.processes import free_ports
from tests.support.stored import Clock
from tests.support.valkey import ValkeyServer, running_valkey

HERE = "198.51.100.1"


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def valkey() -> Iterator[ValkeyServer]:
    """Of this test's own, as it is stopped."""
    with running_valkey() as server:
        yield server


@contextmanager
def guarding(rate: int, clock: Clock, store: str | None = None) -> Iterator[Guard]:
    guard = Guard(rate, store, clock)
    try:
        yield guard
    finally:
        guard.close()


def shown(guard: Guard) -> dict[str, float]:
    return {line.split()[0]: float(line.split()[1]) for line in guard.lines() if not line.startswith("#")}


async def test_who_comes_too_often_waits_and_is_counted(clock: Clock) -> None:
    with guarding(3, clock) as guard:
        waits = [await guard.admit(HERE) for _ in range(5)]
        assert waits[:3] == [None] * 3
        assert all(wait is not None and 0 < wait <= 60 for wait in waits[3:])
        assert await guard.admit("198.51.100.2") is None
        assert shown(guard) == {"snowshed_admin_limited_total": 2, "snowshed_admin_rate_store_up": 1}


async def test_who_has_a_network_of_ipv6_is_one(clock: Clock) -> None:
    with guarding(1, clock) as guard:
        assert await guard.admit("2001:db8::1") is None
        assert await guard.admit("2001:db8::2") is not None


async def test_several_gateways_count_together_in_a_store(clock: Clock, valkey: ValkeyServer) -> None:
    with guarding(4, clock, valkey.url) as one, guarding(4, clock, valkey.url) as other:
        waits = [await guard.admit(HERE) for guard in (one, other, one, other, one, other)]
        assert [wait is None for wait in waits] == [True] * 4 + [False] * 2
        assert all(wait is None or 0 < wait <= 60 for wait in waits)
        assert not one.trouble
        assert not other.trouble


async def test_who_is_over_the_rate_here_is_refused_without_the_store(clock: Clock, valkey: ValkeyServer) -> None:
    with guarding(2, clock, valkey.url) as guard:
        await asyncio.gather(*(guard.admit(HERE) for _ in range(50)))
        with valkey.client() as client:
            assert [client.get(key) for key in client.scan_iter()] == ["2"]


async def still_guards(guard: Guard, kind: str) -> None:
    """The rest of what this test's address may do, and then no more; with the reason told."""
    assert [await guard.admit(HERE) is None for _ in range(3)] == [True, True, False]
    assert guard.trouble == kind
    assert shown(guard)["snowshed_admin_rate_store_up"] == 0


async def test_a_store_that_refuses_is_done_without(clock: Clock, caplog: pytest.LogCaptureFixture) -> None:
    with guarding(2, clock, f"redis://127.0.0.1:{free_ports(1)[0]}") as guard:
        await still_guards(guard, "ConnectionError")
    (said,) = (record for record in caplog.records if record.name == "snowshed")
    assert (said.levelname, said.message) == ("WARNING", "admin rate store away")


async def test_a_wrong_password_is_told_but_not_which(caplog: pytest.LogCaptureFixture, clock: Clock) -> None:
    with running_valkey("right") as server, guarding(2, clock, server.url.replace("right", "hunter2")) as guard:
        await still_guards(guard, "AuthenticationError")
    assert "hunter2" not in caplog.text
    assert "hunter2" not in repr(guard)


async def test_a_store_that_holds_something_else_in_that_place(clock: Clock, valkey: ValkeyServer) -> None:
    with guarding(2, clock, valkey.url) as guard, valkey.client() as client:
        assert await guard.admit("198.51.100.9") is None
        (key,) = client.scan_iter()
        client.lpush(str(key).replace("198.51.100.9", HERE), "no number")
        await still_guards(guard, "ResponseError")


@asynccontextmanager
async def no_store(says: bytes, heard: asyncio.Event) -> AsyncIterator[str]:
    """The URL of something else: it hears the question on this very loop, and says this, or nothing."""
    answers: list[asyncio.Task[None] | None] = []

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        answers.append(asyncio.current_task())
        await reader.read(1)
        heard.set()
        writer.write(says)
        await reader.read()
        writer.close()

    async with await asyncio.start_server(answer, "127.0.0.1", 0) as server:
        yield f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    await asyncio.gather(*filter(None, answers))


@pytest.mark.parametrize(
    ("says", "kind"), [(b"", "TimeoutError"), (b"HTTP/1.1 400 Bad Request\r\n\r\n", "InvalidResponse")]
)
async def test_what_is_no_store_keeps_no_loop_waiting(says: bytes, kind: str, clock: Clock) -> None:
    heard = asyncio.Event()
    async with no_store(says, heard) as url:
        with guarding(2, clock, url) as guard:
            asking = asyncio.ensure_future(guard.admit("198.51.100.9"))
            await heard.wait()  # which would not come, on this loop, if the guard kept it until there is an answer
            assert not asking.done()
            assert await asking is None
            await still_guards(guard, kind)


async def test_many_at_once_before_a_silent_store_take_a_few_threads_and_one_patience(clock: Clock) -> None:
    loop = asyncio.get_running_loop()
    async with no_store(b"", asyncio.Event()) as url:
        with guarding(1000, clock, url) as guard:
            began = loop.time()
            assert await asyncio.gather(*(guard.admit(HERE) for _ in range(200))) == [None] * 200
            assert loop.time() - began < 10 * PATIENCE
            assert sum(thread.name.startswith("admin-guard") for thread in threading.enumerate()) <= THREADS


async def test_a_store_that_is_back_is_asked_again_after_a_pause(clock: Clock, valkey: ValkeyServer) -> None:
    def counted() -> list[object]:
        with valkey.client() as client:
            return [client.get(key) for key in client.scan_iter()]

    with guarding(10, clock, valkey.url) as guard:
        assert await guard.admit(HERE) is None
        valkey.freeze()
        assert await guard.admit(HERE) is None
        valkey.thaw()
        assert guard.trouble == "TimeoutError"
        before = counted()
        assert await guard.admit(HERE) is None  # not asked
        assert counted() == before
        valkey.stop()
        valkey.start()  # without what it knew, scripts included
        clock.now += PAUSE
        assert await guard.admit(HERE) is None
        assert await guard.admit(HERE) is None
        assert guard.trouble == ""
        assert counted() == ["2"]


async def test_while_it_is_away_one_at_a_time_finds_out_whether_it_is_back(clock: Clock) -> None:
    heard = asyncio.Event()
    async with no_store(b"", heard) as url:
        with guarding(100, clock, url) as guard:
            await guard.admit(HERE)
            clock.now += PAUSE
            heard.clear()
            finding_out = asyncio.ensure_future(guard.admit(HERE))
            await heard.wait()
            assert await guard.admit(HERE) is None
            assert not finding_out.done()
            await finding_out


async def ask(app: ASGIApp, peer: str | None, *forwarded: bytes) -> tuple[int, str]:
    sent: list[Message] = []

    async def receive() -> Message:
        return {"type": "http.request", "body": b""}

    async def send(message: Message) -> None:
        sent.append(message)

    headers = [(b"x-forwarded-for", value) for value in forwarded]
    client = (peer, 4711) if peer else None
    await app({"type": "http", "method": "GET", "path": "/", "headers": headers, "client": client}, receive, send)
    return sent[0]["status"], sent[1]["body"].decode()


async def who(scope: Scope, receive: Receive, send: Send) -> None:
    await PlainTextResponse(str(scope["client"]))(scope, receive, send)


def too_many(seconds: float) -> ASGIApp:
    return PlainTextResponse("too many", 429)


async def test_behind_a_trusted_proxy_clients_are_counted_and_seen_one_by_one(clock: Clock) -> None:
    with guarding(1, clock) as guard:
        app = Guarded(who, guard, ["10.0.0.0/8"], too_many)
        assert await ask(app, "10.0.0.1", b"198.51.100.1") == (200, "('198.51.100.1', 0)")
        assert await ask(app, "10.0.0.1", b"198.51.100.2") == (200, "('198.51.100.2', 0)")
        assert await ask(app, "10.0.0.2", b"198.51.100.2") == (429, "too many")


async def test_others_gain_nothing_from_naming_one_address_after_the_other(clock: Clock) -> None:
    with guarding(2, clock) as guard:
        app = Guarded(who, guard, [], too_many)
        answers = [await ask(app, "203.0.113.9", f"198.51.100.{n}".encode()) for n in range(3)]
        assert answers == [(200, "('203.0.113.9', 4711)")] * 2 + [(429, "too many")]


async def test_who_has_no_address_is_counted_too(clock: Clock) -> None:
    with guarding(1, clock) as guard:
        app = Guarded(who, guard, [], too_many)
        assert [(await ask(app, None))[0] for _ in range(2)] == [200, 429]
