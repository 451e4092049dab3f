"""How a call ends: the server's status and words, told again at every further read."""

from __future__ import annotations

import pytest

from engines.grpc.api import Code, RpcError
from tests.contract.grpc.conftest import Connect
from tests.support.grpc_server import METHOD, echo, saying, serving
from tests.support.grpc_transports import Story, story

WORDS = "100 % of GPU 0\nlost: größer ☃ 😀 %41"
ERRORS = [code for code in Code if code]


@pytest.mark.parametrize("code", ERRORS, ids=lambda code: code.name)
@pytest.mark.parametrize("messages", [[], [b"a", b"b"]], ids=["at once", "after messages"])
async def test_an_error_comes_after_what_was_said_before_it(
    connect: Connect, code: Code, messages: list[bytes]
) -> None:
    async with serving(saying(*messages, code=code, details=WORDS)) as server:
        assert await story(connect(server.port).open(METHOD, b"")) == Story(messages, code, WORDS)


@pytest.mark.parametrize("details", ["", "%", "%zz", " \t spaced\t ", "é" * 5_000], ids=len)
async def test_details_are_the_servers_own_words(connect: Connect, details: str) -> None:
    async with serving(saying(code=Code.ABORTED, details=details)) as server:
        assert (await story(connect(server.port).open(METHOD, b""))).details == details


async def test_an_end_is_told_as_often_as_one_asks(connect: Connect) -> None:
    async with serving(saying(b"x", code=Code.NOT_FOUND, details="gone")) as server:
        rpc = connect(server.port).open(METHOD, b"")
        assert await rpc.read() == b"x"
        for _ in range(3):
            with pytest.raises(RpcError, match="NOT_FOUND: gone") as caught:
                await rpc.read()
            assert (caught.value.code, caught.value.details) == (Code.NOT_FOUND, "gone")


async def test_a_method_that_is_not_there_is_unimplemented(connect: Connect) -> None:
    async with serving(echo) as server:
        told = await story(connect(server.port).open("/other.Service/Call", b""))
        assert (told.messages, told.code) == ([], Code.UNIMPLEMENTED)


async def test_a_server_that_falls_over_is_unknown(connect: Connect) -> None:
    async with serving(lambda _request, _context: 1 / 0) as server:  # type: ignore[arg-type, return-value]
        told = await story(connect(server.port).open(METHOD, b""))
        assert (told.messages, told.code) == ([], Code.UNKNOWN)


async def test_an_error_leaves_the_connection_as_it_was(connect: Connect) -> None:
    async with serving(echo) as server:
        channel = connect(server.port)
        for _ in range(20):
            assert (await story(channel.open("/other.Service/Call", b""))).code is Code.UNIMPLEMENTED
            assert await story(channel.open(METHOD, b"x")) == Story([b"x"], Code.OK)
