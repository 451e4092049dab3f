"""Whatever a server answers to a call, our HTTP/2 client tells the same as grpc.aio."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import AsyncExitStack
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.grpc.api import Channel, Code
from tests.support import raw_grpc as raw
from tests.support.grpc_transports import TRANSPORTS, Story, story
from tests.support.waiting import PATIENCE

METHOD = "/test.Service/Call"
MAX_MESSAGE = 1000
Frames = Callable[[int], bytes]
"""What is said on a stream of that number."""


class Sides:
    """Every transport, connected to the same server."""

    def __init__(self) -> None:
        self._stack = AsyncExitStack()
        self._channels: dict[str, Channel] = {}
        self._peers: dict[str, raw.Peer] = {}

    async def __aenter__(self) -> Self:
        server = await self._stack.enter_async_context(raw.raw_serving())
        for name, transport in TRANSPORTS.items():
            channel = transport(
                f"127.0.0.1:{server.port}", tls=None, connections=1, max_message=MAX_MESSAGE, connect_timeout=PATIENCE
            )
            self._stack.push_async_callback(channel.aclose)
            self._channels[name] = channel
            channel.open(METHOD, b"")
            self._peers[name] = await server.peer()
            await self._peers[name].request()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self._stack.aclose()

    async def told(self, frames: Frames) -> dict[str, Story]:
        """What each transport tells of a call that is answered so."""
        stories = {}
        for name, channel in self._channels.items():
            rpc = channel.open(METHOD, b"please")
            stream = await self._peers[name].request()
            self._peers[name].send(frames(stream))
            stories[name] = await story(rpc)
        return stories


@pytest.fixture(scope="module")
def tell() -> Iterator[Callable[[Frames], dict[str, Story]]]:
    with asyncio.Runner() as runner:
        sides = runner.run(Sides().__aenter__())
        yield lambda frames: runner.run(sides.told(frames))
        runner.run(sides.__aexit__())


CODES = [*range(17), 17, 99]
RESETS = st.sampled_from([0, 1, 2, 3, 6, 7, 8, 9, 11, 12])
HTTP = st.sampled_from([400, 401, 403, 404, 429, 500, 502, 503, 504, 302])
MESSAGES = st.lists(st.binary(max_size=30) | st.sampled_from([b"", bytes(1000)]), max_size=4)
WORDS = st.sampled_from([b"", b"why", b"50%25", b"%e2%98%83", b"a b"])


def fields(stream: int, block: bytes, flags: int = 0) -> bytes:
    return raw.frame(raw.HEADERS, raw.END_HEADERS | flags, stream, block)


@st.composite
def endings(draw: st.DrawFn) -> Frames:
    code, words, reset = draw(st.sampled_from(CODES)), draw(WORDS), draw(RESETS)
    choices: list[Frames] = [
        lambda s: raw.end(s, code, words),
        lambda s: raw.end(s, code, words) + raw.frame(raw.RST_STREAM, 0, s, bytes(4)),
        lambda s: raw.frame(raw.RST_STREAM, 0, s, raw.word(reset)),
    ]
    return choices[draw(st.integers(0, 2))]


@st.composite
def answers(draw: st.DrawFn) -> Frames:
    """Headers, messages in frames of any size, and an ending: grpc.aio knows neither padding nor interim answers."""
    ending = draw(endings())
    data = b"".join(map(raw.message, draw(MESSAGES)))
    size = draw(st.sampled_from([1, 3, 7, 100, 5000]))

    def frames(s: int) -> bytes:
        return raw.begin(s) + b"".join(raw.pieces(s, data, size)) + ending(s)

    return frames


@given(frames=answers())
@settings(max_examples=150)
def test_answers(frames: Frames, tell: Callable[[Frames], dict[str, Story]]) -> None:
    told = tell(frames)
    if told["aio"].code is Code.OK:
        assert told["http2"] == told["aio"]
    assert told["http2"].code is told["aio"].code


@given(code=st.sampled_from(CODES), words=WORDS)
@settings(max_examples=40)
def test_a_status_alone(code: int, words: bytes, tell: Callable[[Frames], dict[str, Story]]) -> None:
    told = tell(lambda s: fields(s, raw.BEGIN + raw.trailers(code, words), raw.END_STREAM))
    assert told["http2"] == told["aio"]


@given(http=HTTP, ended=st.booleans())
@settings(max_examples=40)
def test_another_status_of_http(http: int, tell: Callable[[Frames], dict[str, Story]], *, ended: bool) -> None:
    block = raw.field(b":status", b"%d" % http) + raw.field(b"content-type", b"text/html")
    told = tell(lambda s: fields(s, block, raw.END_STREAM * ended))
    assert told["http2"].code is told["aio"].code


ODD: dict[str, Frames] = {
    "too large": lambda s: raw.begin(s) + raw.say(s, b"a", bytes(MAX_MESSAGE + 1)),
    "compressed": lambda s: raw.begin(s) + raw.frame(raw.DATA, 0, s, raw.message(b"x", compressed=True)) + raw.end(s),
    "no status": lambda s: raw.begin(s) + raw.say(s, b"a") + fields(s, raw.field(b"x", b"y"), raw.END_STREAM),
}


@pytest.mark.parametrize("what", ODD)
def test_answers_that_are_none(what: str, tell: Callable[[Frames], dict[str, Story]]) -> None:
    told = tell(ODD[what])
    assert (told["http2"].messages, told["http2"].code) == (told["aio"].messages, told["aio"].code)
