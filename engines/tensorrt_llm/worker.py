"""The child's work: takes what is wanted from the one connection, generates, and says it in pieces that stay true."""

from __future__ import annotations

import asyncio
import contextlib
import shutil
import signal
import tempfile
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import cast

import msgspec

from engines.api import Capacity
from engines.grpc.api import Code
from engines.tensorrt_llm.package import Model
from engines.tensorrt_llm.speaking import Speaking
from engines.tensorrt_llm.stats import Stats
from engines.tensorrt_llm.wire import STEP, WINDOW, Complaint, Frame, Frames, Kind, State, Wanted, frame


def serve(model: Model, listening: Callable[[str], None]) -> None:
    """Until SIGTERM, or until the gateway hangs up. `listening` is told the path of the socket."""
    asyncio.run(_serve(model, listening))


async def _serve(model: Model, listening: Callable[[str], None]) -> None:
    loop = asyncio.get_running_loop()
    over = asyncio.Event()

    def end(*_: object) -> None:  # asyncio's own handler would leave none behind while the model is let go
        with contextlib.suppress(RuntimeError):  # that loop has ended
            loop.call_soon_threadsafe(over.set)

    signal.signal(signal.SIGTERM, end)
    folder = Path(tempfile.mkdtemp(prefix="snowshed-"))  # only this user may enter
    stats = Stats(model, loop.time)
    try:
        await loop.create_unix_server(lambda: Worker(model, stats, over, folder), folder / "socket")
        watching = loop.create_task(stats.run())
        listening(str(folder / "socket"))
        await over.wait()
        watching.cancel()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


class Worker(asyncio.Protocol):
    """The connection and the calls on it. Texts become tokens on a thread of their own, one after another."""

    def __init__(self, model: Model, stats: Stats, over: asyncio.Event, folder: Path) -> None:
        self._model = model
        self._stats = stats
        self._over = over
        self._folder = folder
        self._frames = Frames()
        self._calls: dict[int, tuple[asyncio.Task[None], asyncio.Semaphore]] = {}
        self._thread = ThreadPoolExecutor(1, "tokens")
        self._transport: asyncio.Transport | None = None

    def __repr__(self) -> str:
        return f"<Worker {len(self._calls)} calls>"

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast("asyncio.Transport", transport)
        shutil.rmtree(self._folder, ignore_errors=True)  # there is one gateway; a child that crashes leaves nothing

    def connection_lost(self, exc: Exception | None) -> None:
        for task, _ in list(self._calls.values()):
            task.cancel()
        self._thread.shutdown(wait=False, cancel_futures=True)
        self._over.set()

    def data_received(self, data: bytes) -> None:
        try:
            for one in self._frames.feed(data):
                self._take(one)
        except ValueError:
            self._over.set()  # not our gateway

    def _take(self, one: Frame) -> None:
        if one.kind is Kind.ASK:
            self._send(frame(Kind.STATE, 0, self._state()))
        elif one.kind is Kind.GENERATE:
            wanted = msgspec.msgpack.decode(one.payload, type=Wanted)
            room = asyncio.Semaphore(WINDOW)
            task = asyncio.get_running_loop().create_task(self._generate(one.call, wanted, room))
            self._calls[one.call] = task, room
            task.add_done_callback(partial(self._forget, one.call))
        elif one.call in self._calls:
            task, room = self._calls[one.call]
            if one.kind is Kind.ABORT:
                task.cancel()
            else:
                for _ in range(STEP):
                    room.release()

    def _forget(self, call: int, _task: asyncio.Task[None]) -> None:
        del self._calls[call]

    def _state(self) -> State:
        load = self._stats.load(at_work=len(self._calls))
        takes = load.capacity or Capacity()
        return State(self._model.healthy(), load.running, load.waiting, load.kv_used, takes.requests, takes.kv_tokens)

    async def _generate(self, call: int, wanted: Wanted, room: asyncio.Semaphore) -> None:
        try:
            await self._speak(call, wanted, room)
        except Exception as error:  # noqa: BLE001  # whatever the package raises, the gateway reads the words
            code = Code.INVALID_ARGUMENT if isinstance(error, ValueError) else Code.INTERNAL
            self._send(frame(Kind.FAILED, call, Complaint(code, str(error)[-4096:] or type(error).__name__)))
        else:
            self._send(frame(Kind.ENDED, call))

    async def _speak(self, call: int, wanted: Wanted, room: asyncio.Semaphore) -> None:
        tokens = await asyncio.get_running_loop().run_in_executor(self._thread, self._model.tokens, wanted.prompt)
        speaking = Speaking(len(tokens), told=wanted.stream)
        request = self._model.generate(tokens, wanted)
        whole = False
        try:
            async for step in request:
                said = speaking.hear(step.outputs[0])
                if said is not None:
                    await room.acquire()
                    self._send(frame(Kind.SAID, call, said))
            whole = True
        finally:
            if not whole:
                request.abort()

    def _send(self, data: bytes) -> None:
        if self._transport is not None and not self._transport.is_closing():
            self._transport.write(data)
