"""What a call carries: messages of every size, whole and in order, and what the server is told besides."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Any

import pytest

from engines.grpc.api import Code
from tests.contract.grpc.conftest import Connect
from tests.support.grpc_server import METHOD, echo, first_then_silence, saying, serving, silence
from tests.support.grpc_transports import Story, story

EIGHT_MB = 8 * 1024 * 1024


async def test_one_message_comes_and_then_the_end(connect: Connect) -> None:
    async with serving(echo) as server:
        assert await story(connect(server.port).open(METHOD, b"hello")) == Story([b"hello"], Code.OK)


async def test_many_messages_keep_their_order_and_their_borders(connect: Connect) -> None:
    sizes = random.Random(7)
    messages = [b"%d " % n + bytes(sizes.choice([0, 1, 7, 300, 20_000])) for n in range(1000)]
    async with serving(saying(*messages)) as server:
        assert await story(connect(server.port).open(METHOD, b"")) == Story(messages, Code.OK)


async def test_empty_messages_are_messages(connect: Connect) -> None:
    async with serving(saying(b"", b"", b"x", b"")) as server:
        assert await story(connect(server.port).open(METHOD, b"")) == Story([b"", b"", b"x", b""], Code.OK)


async def test_ok_without_any_message_is_an_end(connect: Connect) -> None:
    async with serving(saying()) as server:
        rpc = connect(server.port).open(METHOD, b"x")
        assert [await rpc.read(), await rpc.read()] == [None, None]


async def test_eight_megabytes_pass_both_ways(connect: Connect) -> None:
    message = random.Random(8).randbytes(EIGHT_MB)
    async with serving(echo) as server:
        told = await story(connect(server.port).open(METHOD, message))
        assert (await server.arrival()).request == message
        assert told == Story([message], Code.OK)


async def test_a_message_of_the_limit_passes_and_one_byte_more_does_not(connect: Connect) -> None:
    async with serving(saying(b"first", bytes(100_000), b"last")) as server:
        passed = await story(connect(server.port, max_message=100_000).open(METHOD, b""))
        assert [len(message) for message in passed.messages] == [5, 100_000, 4]
        refused = await story(connect(server.port, max_message=99_999).open(METHOD, b""))
        assert (refused.messages, refused.code) == ([b"first"], Code.RESOURCE_EXHAUSTED)


async def test_a_server_that_says_too_much_at_once_is_told_to_stop(connect: Connect) -> None:
    async with serving(first_then_silence) as server:
        told = await story(connect(server.port, max_message=1000).open(METHOD, bytes(1001)))
        assert told.code is Code.RESOURCE_EXHAUSTED
        assert await (await server.arrival()).over() == "cancelled"


async def test_calls_at_once_keep_apart(connect: Connect) -> None:
    async def spell(request: bytes, context: Any) -> AsyncIterator[bytes]:
        for n in range(100):
            yield b"%b %d" % (request, n)
            await asyncio.sleep(0)

    async with serving(spell) as server:
        channel = connect(server.port, connections=2)
        stories = await asyncio.gather(*(story(channel.open(METHOD, b"%d" % call)) for call in range(50)))
        assert [told.messages for told in stories] == [[b"%d %d" % (c, n) for n in range(100)] for c in range(50)]


@pytest.mark.parametrize("method", [METHOD, "/test.Service/Other"])
async def test_the_server_learns_method_and_metadata(connect: Connect, method: str) -> None:
    pairs = [("x-request-id", "r-1"), ("twice", "a"), ("twice", "b, c"), ("x-empty", "")]
    async with serving(echo) as server:
        await story(connect(server.port).open(method, b"", metadata=pairs))
        seen = await server.arrival()
        assert seen.method == method
        assert [pair for pair in seen.metadata if pair in pairs] == pairs


async def test_metadata_that_cannot_be_sent_fails_its_call_alone(connect: Connect) -> None:
    async with serving(echo) as server:
        channel = connect(server.port)
        for pair in [("Upper", "x"), ("line", "one\ntwo"), ("", "x"), ("sp ace", "x")]:
            told = await story(channel.open(METHOD, b"", metadata=[pair]))
            assert (told.messages, told.code) == ([], Code.INTERNAL)
        assert await story(channel.open(METHOD, b"x")) == Story([b"x"], Code.OK)


async def test_the_server_is_told_how_long_we_wait(connect: Connect) -> None:
    async with serving(echo) as server:
        await story(connect(server.port).open(METHOD, b"", timeout=100))
        remaining = (await server.arrival()).remaining
        assert remaining is not None
        assert 80 < remaining < 110


async def test_without_a_timeout_the_server_is_told_none(connect: Connect) -> None:
    async with serving(echo) as server:
        await story(connect(server.port).open(METHOD, b""))
        remaining = (await server.arrival()).remaining
        assert remaining is None or remaining > 1e6


async def test_a_server_that_never_answers_is_given_up_in_time(connect: Connect) -> None:
    async with serving(silence) as server:
        began = asyncio.get_running_loop().time()
        told = await story(connect(server.port).open(METHOD, b"", timeout=0.2))
        assert (told.messages, told.code) == ([], Code.DEADLINE_EXCEEDED)
        assert 0.19 < asyncio.get_running_loop().time() - began < 3
        assert await (await server.arrival()).over() == "cancelled"


async def test_a_timeout_counts_the_whole_stream_and_keeps_what_came(connect: Connect) -> None:
    async with serving(first_then_silence) as server:
        told = await story(connect(server.port).open(METHOD, b"x", timeout=0.5))
        assert (told.messages, told.code) == ([b"x"], Code.DEADLINE_EXCEEDED)


async def test_no_time_at_all_is_too_short(connect: Connect) -> None:
    async with serving(echo) as server:
        for timeout in (0, -1):
            told = await story(connect(server.port).open(METHOD, b"x", timeout=timeout))
            assert (told.messages, told.code) == ([], Code.DEADLINE_EXCEEDED)
