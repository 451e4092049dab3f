"""Calls, limits, resets, farewells and breaks in any order: every call ends, none waits where there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from hypothesis import given
from hypothesis import strategies as st

from engines.grpc.api import Code
from engines.grpc.http2.channel import Http2Channel
from engines.grpc.http2.connection import Connection
from engines.grpc.http2.dialling import Dialling
from engines.grpc.http2.stream import Stream
from tests.support import raw_grpc as raw
from tests.support.examples import thorough
from tests.support.grpc_transports import story
from tests.unit.engines.grpc.conftest import METHOD
from tests.unit.engines.grpc.test_any_bytes import Deaf


class Dialler:
    """Makes connections to nowhere that are ready at once, or fail."""

    def __init__(self) -> None:
        self.made: list[Connection] = []
        self.fails = False

    async def connect(self, make: Callable[[], Connection]) -> Connection:
        if self.fails:
            raise ConnectionRefusedError
        connection = make()
        connection.connection_made(cast("asyncio.Transport", Deaf()))
        connection.data_received(raw.settings([(3, 2)]))
        self.made.append(connection)
        return connection


class World:
    """A channel, and what may happen to it; `pick` says to which call or connection."""

    def __init__(self, connections: int) -> None:
        self.dialler = Dialler()
        self.channel = Http2Channel("nowhere:1", tls=None, connections=connections, max_message=1000, connect_timeout=1)
        self.channel._dialling = cast("Dialling", self.dialler)
        self.calls: list[Stream] = []
        self.lasts: dict[Connection, int] = {}
        """Of connections that the server closes: the last call that it finishes."""

    def alive(self, pick: int) -> Connection | None:
        alive = [connection for connection in self.dialler.made if connection.state != "closed"]
        return alive[pick % len(alive)] if alive else None

    def open(self, pick: int) -> None:
        self.calls.append(self.channel.open(METHOD, bytes(pick * 1000), timeout=1000 if pick % 2 else None))

    def cancel(self, pick: int) -> None:
        if self.calls:
            self.calls[pick % len(self.calls)].cancel()

    def expire(self, pick: int) -> None:
        for stream in list(self.channel._deadlines._streams)[: pick % 3]:
            stream.due = 0.0
        self.channel._deadlines._look()

    def answer(self, pick: int) -> None:
        self.say(pick, lambda s: raw.begin(s) + raw.say(s, b"a") + raw.end(s))

    def reset(self, pick: int) -> None:
        self.say(pick, lambda s: raw.frame(raw.RST_STREAM, 0, s, raw.word(7)))

    def say(self, pick: int, frames: Callable[[int], bytes]) -> None:
        connection = self.alive(pick)
        if connection is not None and connection.streams:
            idents = list(connection.streams)
            connection.data_received(frames(idents[pick % len(idents)]))

    def limit(self, pick: int) -> None:
        self.hear(pick, raw.settings([(3, pick % 4)]))

    def window(self, pick: int) -> None:
        self.hear(pick, raw.settings([(4, pick * 1000)]) + raw.frame(raw.WINDOW_UPDATE, 0, 0, raw.word(1 + pick * 500)))

    def farewell(self, pick: int) -> None:
        connection, last = self.alive(pick), (pick % 5) * 2 + 1
        if connection is not None:
            self.lasts[connection] = min(last, self.lasts.get(connection, last))
        self.hear(pick, raw.frame(raw.GOAWAY, 0, 0, raw.word(last) + raw.word(0)))

    def nonsense(self, pick: int) -> None:
        self.hear(pick, raw.frame(raw.PING, 0, 1, bytes(8)))

    def hear(self, pick: int, data: bytes) -> None:
        connection = self.alive(pick)
        if connection is not None:
            connection.data_received(data)

    def lose(self, pick: int) -> None:
        connection = self.alive(pick)
        if connection is not None:
            connection.connection_lost(None)

    def jam(self, pick: int) -> None:
        connection = self.alive(pick)
        if connection is not None:
            connection.pause_writing() if pick % 2 else connection.resume_writing()

    def refuse(self, pick: int) -> None:
        self.dialler.fails = bool(pick % 2)

    def check(self) -> None:
        channel = self.channel
        assert not channel._waiting or channel._emptiest() is None
        assert not channel._waiting or channel._ready or channel._connecting
        assert all(connection.state == "ready" for connection in channel._ready)
        assert all(max(connection.streams, default=0) <= last for connection, last in self.lasts.items())
        known = set(channel._waiting).union(*(connection.streams.values() for connection in self.dialler.made))
        assert {call for call in self.calls if not call.over} == known
        assert channel._deadlines._streams == {call for call in known if call.due is not None}

    async def end(self) -> None:
        for connection in self.dialler.made:
            if not connection.closed.done():
                connection.connection_lost(None)
        await self.channel.aclose()
        self.check()
        for call in self.calls:
            assert (await story(call)).code in Code
        assert not self.channel._connections


HAPPENINGS = st.lists(
    st.tuples(
        st.sampled_from(
            [
                World.open, World.open, World.open, World.cancel, World.expire, World.answer, World.answer, World.reset,
                World.limit, World.window, World.farewell, World.nonsense, World.lose, World.jam, World.refuse,
            ]
        ),
        st.integers(0, 9),
        st.integers(0, 2),
    ),
    max_size=50,
)  # fmt: skip


@given(happenings=HAPPENINGS, connections=st.integers(1, 2), calls=st.integers(0, 6))
@thorough(300)
def test_no_call_is_forgotten(
    happenings: list[tuple[Callable[[World, int], None], int, int]], connections: int, calls: int
) -> None:
    async def live() -> None:
        world = World(connections)
        for _ in range(calls):
            world.open(0)
        for happen, pick, turns in [(World.open, 1, 9), *happenings]:
            happen(world, pick)
            world.check()
            for _ in range(turns):
                await asyncio.sleep(0)
                world.check()
        await world.end()

    asyncio.run(live())
