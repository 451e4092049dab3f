"""The life of connections: made when needed, shared by many streams, and made again soon after they broke."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, ExitStack, aclosing, closing, contextmanager
from typing import Any

from engines.grpc.api import Channel, Code
from tests.contract.grpc.conftest import Connect
from tests.support.grpc_server import METHOD, echo, first_then_silence, held, saying, serving, silence
from tests.support.grpc_transports import TRANSPORTS, Story, code, first, story
from tests.support.relay import relaying
from tests.support.waiting import PATIENCE


def now() -> float:
    return asyncio.get_running_loop().time()


@contextmanager
def deaf_port(*, accepts: bool) -> Iterator[int]:
    """A port whose server never says a word; if it does not accept, not even the kernel answers."""
    with ExitStack() as stack:
        server = stack.enter_context(closing(socket.create_server(("127.0.0.1", 0), backlog=8 if accepts else 0)))
        port: int = server.getsockname()[1]
        for _ in range(0 if accepts else 4):  # a full queue lets the kernel drop whoever knocks
            knocking = stack.enter_context(closing(socket.socket()))
            knocking.setblocking(False)
            knocking.connect_ex(("127.0.0.1", port))
        yield port


async def first_success(channel: Channel) -> float:
    """Seconds until a call succeeds, when one is tried again and again as a prober does."""
    began = now()
    async with asyncio.timeout(PATIENCE):
        while await code(channel.open(METHOD, b"x")) is not Code.OK:  # noqa: ASYNC110 - a prober does no more
            await asyncio.sleep(0.02)
    return now() - began


async def test_calls_made_before_the_first_connection_are_all_answered(connect: Connect) -> None:
    async with serving(echo) as server:
        channel = connect(server.port, connections=3)
        rpcs = [channel.open(METHOD, b"%d" % n) for n in range(50)]
        assert [await story(rpc) for rpc in rpcs] == [Story([b"%d" % n], Code.OK) for n in range(50)]


async def test_no_more_connections_than_allowed_and_calls_spread_over_them(connect: Connect) -> None:
    async with serving(first_then_silence) as server, relaying(server.port) as relay:
        channel = connect(relay.port, connections=3)
        for _ in range(2):
            assert await asyncio.gather(*(first(channel.open(METHOD, b"x")) for _ in range(30))) == [b"x"] * 30
            assert relay.connections == 3


async def test_four_hundred_streams_all_begin_at_once(connect: Connect) -> None:
    async with serving(first_then_silence) as server:
        channel = connect(server.port)
        began = now()
        rpcs = [channel.open(METHOD, b"%d" % n) for n in range(400)]
        assert await asyncio.gather(*map(first, rpcs)) == [b"%d" % n for n in range(400)]
        assert now() - began < 10
        for rpc in rpcs:
            rpc.cancel()


async def test_streams_over_the_servers_limit_wait_for_their_turn(connect: Connect) -> None:
    gate = asyncio.Event()

    async def gated(request: bytes, context: Any) -> AsyncIterator[bytes]:
        await gate.wait()
        yield request

    async with serving(gated, options=[("grpc.max_concurrent_streams", 2)]) as server:
        channel = connect(server.port)
        stories = {b"%d" % n: asyncio.create_task(story(channel.open(METHOD, b"%d" % n))) for n in range(8)}
        served = [(await server.arrival()).request for _ in range(2)]
        await asyncio.wait(stories.values(), timeout=0.2)
        assert not any(told.done() for told in stories.values())
        assert server.arrived() == 0
        gate.set()
        for request, telling in stories.items():
            told = await telling
            # This server counts a stream for a while after its end, and may refuse those that take its place.
            assert told == Story([request], Code.OK) or (told.code is Code.UNAVAILABLE and request not in served)


async def test_a_stream_that_waits_for_its_turn_can_be_let_go(connect: Connect) -> None:
    async with serving(first_then_silence, options=[("grpc.max_concurrent_streams", 1)]) as server:
        channel = connect(server.port)
        holding = channel.open(METHOD, b"holding")
        assert await first(holding) == b"holding"
        waiting = channel.open(METHOD, b"waiting")
        asyncio.get_running_loop().call_later(0.05, waiting.cancel)
        assert await code(waiting) is Code.CANCELLED
        assert await code(channel.open(METHOD, b"impatient", timeout=0.1)) is Code.DEADLINE_EXCEEDED
        assert (await server.arrival()).request == b"holding"
        assert server.arrived() == 0
        holding.cancel()


async def test_a_refused_connection_is_unavailable_at_once(connect: Connect) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
    channel = connect(port)
    for _ in range(3):
        began = now()
        told = await story(channel.open(METHOD, b"x"))
        assert (told.messages, told.code) == ([], Code.UNAVAILABLE)
        assert now() - began < 2


async def test_an_address_that_does_not_answer_is_given_up_after_the_timeout(connect: Connect) -> None:
    with deaf_port(accepts=False) as port:
        began = now()
        assert await code(connect(port, connect_timeout=0.5).open(METHOD, b"x")) is Code.UNAVAILABLE
        assert 0.4 < now() - began < 5


async def test_a_server_that_accepts_and_says_nothing_is_given_up_after_the_timeout(connect: Connect) -> None:
    with deaf_port(accepts=True) as port:
        began = now()
        assert await code(connect(port, connect_timeout=0.5).open(METHOD, b"x")) is Code.UNAVAILABLE
        assert 0.4 < now() - began < 5


async def test_the_deadline_holds_while_a_connection_is_being_made(connect: Connect) -> None:
    with deaf_port(accepts=True) as port:
        began = now()
        told = await story(connect(port, connect_timeout=PATIENCE).open(METHOD, b"x", timeout=0.3))
        assert told.code is Code.DEADLINE_EXCEEDED
        assert now() - began < 3


async def test_a_call_is_let_go_while_a_connection_is_being_made(connect: Connect) -> None:
    with deaf_port(accepts=True) as port:
        rpc = connect(port, connect_timeout=PATIENCE).open(METHOD, b"x")
        asyncio.get_running_loop().call_later(0.05, rpc.cancel)
        assert await code(rpc) is Code.CANCELLED


async def test_a_server_that_comes_back_is_used_again_within_two_seconds() -> None:
    """Over all transports at once, as they have to wait for as long."""
    async with AsyncExitStack() as stack:
        async with serving(echo) as server:
            target = f"127.0.0.1:{server.port}"
            channels = [
                await stack.enter_async_context(
                    aclosing(make(target, tls=None, connections=1, max_message=1000, connect_timeout=PATIENCE))
                )
                for make in TRANSPORTS.values()
            ]
            assert [await code(channel.open(METHOD, b"x")) for channel in channels] == [Code.OK] * len(channels)
        began = now()
        while now() - began < 5.5:  # so long that the usual pauses grow beyond what is asked here
            for channel in channels:
                assert await code(channel.open(METHOD, b"x")) is Code.UNAVAILABLE
            await asyncio.sleep(0.05)  # a prober's pause
        async with serving(echo, port=server.port):
            assert max(await asyncio.gather(*map(first_success, channels))) < 2.5


async def test_a_server_that_came_late_is_used_within_two_seconds(connect: Connect) -> None:
    with closing(socket.create_server(("127.0.0.1", 0))) as reserved:
        port = reserved.getsockname()[1]
    channel = connect(port)
    assert await code(channel.open(METHOD, b"x")) is Code.UNAVAILABLE
    async with serving(echo, port=port):
        assert await first_success(channel) < 3


async def test_a_connection_that_breaks_ends_its_calls_and_is_replaced(connect: Connect) -> None:
    go_on = asyncio.Event()
    async with serving(held(go_on)) as server, relaying(server.port) as relay:
        channel = connect(relay.port)
        rpcs = [channel.open(METHOD, b"x") for _ in range(10)]
        assert await asyncio.gather(*map(first, rpcs)) == [b"x"] * 10
        relay.cut()
        stories = await asyncio.gather(*map(story, rpcs))
        assert {(len(told.messages), told.code) for told in stories} == {(0, Code.UNAVAILABLE)}
        go_on.set()
        assert await first_success(channel) < 4


async def test_a_server_that_stops_gracefully_finishes_what_it_began(connect: Connect) -> None:
    go_on = asyncio.Event()
    async with serving(held(go_on), grace=10) as server:
        channel = connect(server.port)
        rpc = channel.open(METHOD, b"x")
        await first(rpc)
        asyncio.get_running_loop().call_later(0.3, go_on.set)
    assert await story(rpc) == Story([b"end"], Code.OK)
    assert await code(channel.open(METHOD, b"x")) is Code.UNAVAILABLE


async def test_closing_ends_open_calls(connect: Connect) -> None:
    async with serving(silence) as server:
        channel = connect(server.port, connections=2)
        rpcs = [channel.open(METHOD, b"x") for _ in range(4)]
        stories = [asyncio.create_task(story(rpc)) for rpc in rpcs[:2]]
        seen = [await server.arrival() for _ in rpcs]
        await channel.aclose()
        ends = [*await asyncio.gather(*stories), *await asyncio.gather(*map(story, rpcs[2:]))]
        assert {told.code for told in ends} == {Code.UNAVAILABLE}
        assert {await call.over() for call in seen} == {"cancelled"}


async def test_closing_closes_the_connections(connect: Connect) -> None:
    async with serving(first_then_silence) as server, relaying(server.port) as relay:
        channel = connect(relay.port, connections=2)
        assert await asyncio.gather(*(first(channel.open(METHOD, b"x")) for _ in range(4))) == [b"x"] * 4
        await channel.aclose()
        await relay.all_closed()


async def test_what_ended_before_closing_stays_as_it_ended(connect: Connect) -> None:
    async with serving(saying(b"x")) as server:
        channel = connect(server.port)
        rpc = channel.open(METHOD, b"")
        assert await code(rpc) is Code.OK
        await channel.aclose()
        assert await rpc.read() is None


async def test_a_closed_channel_makes_no_calls(connect: Connect) -> None:
    async with serving(echo) as server:
        channel = connect(server.port)
        await channel.aclose()
        await channel.aclose()
        rpc = channel.open(METHOD, b"x")
        assert await code(rpc) is Code.UNAVAILABLE
        rpc.cancel()
        assert await code(rpc) is Code.UNAVAILABLE
        assert server.arrived() == 0
