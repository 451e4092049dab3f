"""A child that is of no use is given up: one that is silent for long, and one that says so."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from engines.api import Capacity, Load, Unreachable
from engines.grpc.api import Code, RpcError
from engines.sweeper import Sweeper
from engines.tensorrt_llm import replica as replicas
from engines.tensorrt_llm.client import ChildConnection
from engines.tensorrt_llm.replica import ChildReplica
from engines.tensorrt_llm.wire import MAX_PAYLOAD, WINDOW, Frame, Frames, Kind, Said, State, Wanted, frame
from tests.support.waiting import PATIENCE, until

Answer = Callable[[Frame], bytes]


@contextlib.asynccontextmanager
async def child(folder: Path, answer: Answer) -> AsyncIterator[str]:
    """A child that answers each frame so."""

    gone: list[asyncio.Event] = []

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        gone.append(asyncio.Event())
        frames = Frames()
        while data := await reader.read(1 << 16):
            for one in frames.feed(data):
                writer.write(answer(one))
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
        gone[-1].set()

    path = str(folder / "socket")
    server = await asyncio.start_unix_server(serve, path)
    try:
        yield path
    finally:
        server.close()
        for one in gone:
            await one.wait()


async def condemned(path: str, *, silence: float) -> str:
    reasons: asyncio.Queue[str] = asyncio.Queue()
    replica = await ChildReplica.connect(path, Sweeper(), reasons.put_nowait, silence=silence)
    try:
        async with asyncio.timeout(PATIENCE):
            return await reasons.get()
    finally:
        await replica.aclose()


async def test_a_silent_child_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas, "PATIENCE", 0.05)
    async with child(tmp_path, lambda _: b"") as path:
        assert await condemned(path, silence=0.2) == "it has not answered for 0.2 s"


async def test_a_child_that_has_failed_is_given_up(tmp_path: Path) -> None:
    sick = frame(Kind.STATE, 0, State(healthy=False))
    async with child(tmp_path, lambda _: sick) as path:
        assert await condemned(path, silence=60) == "it says that it has failed"


async def test_it_tells_its_health_and_its_load(tmp_path: Path) -> None:
    state = frame(Kind.STATE, 0, State(healthy=True, running=3, waiting=1, kv_used=0.5, requests=8, kv_tokens=640))
    async with child(tmp_path, lambda _: state) as path:
        replica = await ChildReplica.connect(path, Sweeper(), lambda _: None)
        assert (await replica.health()).ready
        assert await until(lambda: replica.load) == Load(3, 1, 0.5, Capacity(8, None, 640))
        await replica.aclose()
        assert not (await replica.health()).ready
        assert replica.capacity == Capacity(8, None, 640)


async def test_where_nobody_listens_it_is_unreachable(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        await ChildReplica.connect(str(tmp_path / "none"), Sweeper(), lambda _: None)


async def test_nonsense_ends_the_connection_and_its_calls(tmp_path: Path) -> None:
    async with child(tmp_path, lambda _: b"\xff" * 64) as path:
        connection = await ChildConnection.connect(path, Sweeper())
        call = connection.open(Wanted("hi", {}), 60)
        with pytest.raises(RpcError) as caught:
            await call.read()
        assert caught.value.code is Code.UNAVAILABLE
        with pytest.raises(RpcError):
            await connection.open(Wanted("hi", {}), 60).read()


async def test_a_prompt_beyond_a_frame_is_refused_and_never_sent(tmp_path: Path) -> None:
    async with child(tmp_path, lambda _: b"") as path:
        connection = await ChildConnection.connect(path, Sweeper())
        with pytest.raises(RpcError) as caught:
            await connection.open(Wanted("x" * MAX_PAYLOAD, {}), 60).read()
        assert caught.value.code is Code.INVALID_ARGUMENT
        await connection.aclose()


async def test_a_call_whose_time_is_over_is_aborted(tmp_path: Path) -> None:
    heard: list[Kind] = []

    def note(one: Frame) -> bytes:
        heard.append(one.kind)
        return frame(Kind.STATE, 0, State(healthy=True)) if one.kind is Kind.ASK else b""

    sweeper = Sweeper()
    async with child(tmp_path, note) as path:
        connection = await ChildConnection.connect(path, sweeper)
        call = connection.open(Wanted("hi", {}), 5)
        sweeper.sweep(4)
        await connection.state(10)
        sweeper.sweep(100)
        with pytest.raises(RpcError) as caught:
            await call.read()
        assert caught.value.code is Code.DEADLINE_EXCEEDED
        await connection.state(10)
        assert heard == [Kind.GENERATE, Kind.ASK, Kind.ABORT, Kind.ASK]
        assert repr(sweeper) == "<Sweeper 0 watched>"
        await connection.aclose()


async def test_room_is_made_as_messages_are_taken_and_not_before(tmp_path: Path) -> None:
    heard: list[Kind] = []
    many = b"".join(frame(Kind.SAID, 1, Said(str(at), 1, at)) for at in range(WINDOW)) + frame(Kind.ENDED, 1)

    def answer(one: Frame) -> bytes:
        heard.append(one.kind)
        if one.kind is Kind.GENERATE:
            return many[: -len(frame(Kind.ENDED, 1))]
        return frame(Kind.STATE, 0, State(healthy=True)) if one.kind is Kind.ASK else b""

    async with child(tmp_path, answer) as path:
        connection = await ChildConnection.connect(path, Sweeper())
        call = connection.open(Wanted("hi", {}), 60)
        await connection.state(10)
        assert heard == [Kind.GENERATE, Kind.ASK]
        for _ in range(WINDOW):
            assert await call.read()
        await connection.state(10)
        assert heard == [Kind.GENERATE, Kind.ASK, Kind.MORE, Kind.MORE, Kind.ASK]
        call.cancel()
        call.cancel()
        await connection.state(10)
        assert heard.count(Kind.ABORT) == 1
        await connection.aclose()


async def test_what_a_reader_raises_is_its_own_and_the_other_calls_go_on(tmp_path: Path) -> None:
    """A client's connection may be closed already when a text goes on, and its request not quite."""

    def answer(one: Frame) -> bytes:
        said = frame(Kind.SAID, one.call, Said("a", 1, 1))
        return said + frame(Kind.ENDED, one.call) if one.kind is Kind.GENERATE else b""

    def take(_message: bytes) -> bool:
        raise RuntimeError("closed")

    async with child(tmp_path, answer) as path:
        connection = await ChildConnection.connect(path, Sweeper())
        try:
            async with asyncio.timeout(PATIENCE):
                with pytest.raises(RuntimeError, match="closed"):
                    await connection.open(Wanted("a", {}), 60).flow(take)
                other = connection.open(Wanted("b", {}), 60)
                assert await other.read() is not None
                assert await other.read() is None
        finally:
            await connection.aclose()
