"""Whatever a server says and wherever a reader stops, all gRPC transports tell the same story, and the true one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from engines.grpc.api import Channel, Code, RpcError
from tests.support.grpc_server import METHOD, serving, status
from tests.support.grpc_transports import TRANSPORTS, Story
from tests.support.waiting import PATIENCE

MAX_MESSAGE = 100_000
SIZES = st.one_of(st.integers(0, 300), st.sampled_from([16_378, 16_379, 16_384, 65_530, 65_536, MAX_MESSAGE]))


class Script(msgspec.Struct, frozen=True):
    """What the server does: messages of these sizes, a turn of the loop after those marked, then the status."""

    sizes: list[int]
    pauses: list[bool]
    code: int
    details: str

    def messages(self) -> list[bytes]:
        return [bytes([65 + n % 26]) * size for n, size in enumerate(self.sizes)]


@dataclass(frozen=True, slots=True)
class Reading:
    """What the client does: step by step reads one message (0) or lets so many flow; then cancels, or reads on."""

    steps: list[int]
    cancels: bool


SCRIPTS = st.builds(
    Script,
    sizes=st.lists(SIZES, max_size=12),
    pauses=st.lists(st.booleans(), max_size=12),
    code=st.sampled_from([Code.OK, *Code]).map(int),
    details=st.text(max_size=40),
)
READINGS = st.builds(Reading, steps=st.lists(st.integers(0, 4), max_size=6), cancels=st.booleans())


def truth(script: Script, reading: Reading) -> Story:
    """What must be told. A reader that has met the end has nothing to cancel, one that has not still has."""
    messages = script.messages()
    at = 0
    ended = False
    for step in reading.steps:
        at += max(step, 1)
        ended = ended or at > len(messages)
        at = min(at, len(messages))
    if reading.cancels and not ended:
        return Story(messages[:at], Code.CANCELLED)
    return Story(messages, Code(script.code), script.details if script.code else "")


async def told(channel: Channel, script: Script, reading: Reading) -> Story:
    rpc = channel.open(METHOD, msgspec.json.encode(script))
    messages: list[bytes] = []
    ended = cancelled = False

    async def flow(count: int) -> bool:
        """Whether the end was met before so many messages had come."""
        end = len(messages) + count

        def take(message: bytes) -> bool:
            messages.append(message)
            return len(messages) < end

        await rpc.flow(take)
        return len(messages) < end

    try:
        for count in reading.steps:
            if count:
                ended = await flow(count)
            elif (message := await rpc.read()) is None:
                ended = True
            else:
                messages.append(message)
        if reading.cancels and not ended:
            rpc.cancel()
            cancelled = True
        while (message := await rpc.read()) is not None:
            messages.append(message)
    except RpcError as error:
        return Story(messages, error.code, "" if cancelled else error.details)
    finally:
        rpc.cancel()
    return Story(messages, Code.OK)


async def play(request: bytes, context: Any) -> AsyncIterator[bytes]:
    script = msgspec.json.decode(request, type=Script)
    for n, message in enumerate(script.messages()):
        yield message
        if n < len(script.pauses) and script.pauses[n]:
            await asyncio.sleep(0)
    if script.code:
        await context.abort(status(script.code), script.details)


class Stage:
    """One server and a channel of each transport to it, on a loop of their own."""

    def __init__(self) -> None:
        self.runner = asyncio.Runner()
        self.channels: dict[str, Channel] = {}
        self._stack = AsyncExitStack()

    async def open(self) -> None:
        server = await self._stack.enter_async_context(serving(play))
        for name, transport in TRANSPORTS.items():
            channel = transport(
                f"127.0.0.1:{server.port}", tls=None, connections=1, max_message=MAX_MESSAGE, connect_timeout=PATIENCE
            )
            self._stack.push_async_callback(channel.aclose)
            self.channels[name] = channel

    async def stories(self, plays: list[tuple[Script, Reading]]) -> dict[str, list[Story]]:
        async with asyncio.timeout(PATIENCE):
            return {
                name: await asyncio.gather(*(told(channel, *play) for play in plays))
                for name, channel in self.channels.items()
            }

    async def close(self) -> None:
        await self._stack.aclose()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    stage = Stage()
    with stage.runner as runner:
        runner.run(stage.open())
        yield stage
        runner.run(stage.close())


@settings(max_examples=150)
@given(plays=st.lists(st.tuples(SCRIPTS, READINGS), min_size=1, max_size=6))
def test_all_transports_tell_the_truth(stage: Stage, plays: list[tuple[Script, Reading]]) -> None:
    expected = [truth(script, reading) for script, reading in plays]
    for name, stories in stage.runner.run(stage.stories(plays)).items():
        assert (name, stories) == (name, expected)
