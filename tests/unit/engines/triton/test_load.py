"""Whose queue is read on a server's page of metrics."""

from __future__ import annotations

import asyncio
import contextlib

import pytest

from engines.api import Load, Surroundings, Timers
from engines.sweeper import Sweeper
from engines.triton.load import TritonLoad
from tests.support.waiting import PATIENCE

PAGE = b"".join(
    b'nv_inference_pending_request_count{model="%b",version="1"} %d\n' % queue
    for queue in ((b"ensemble", 0), (b"tensorrt_llm", 7))
)


async def test_the_model_that_generates_may_become_known_later(monkeypatch: pytest.MonkeyPatch) -> None:
    """As where the server comes up after the gateway."""
    monkeypatch.setattr("engines.triton.load.EVERY", 0.01)
    asked: asyncio.Queue[None] = asyncio.Queue()

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(asyncio.IncompleteReadError), contextlib.closing(writer):
            while await reader.readuntil(b"\r\n\r\n"):
                asked.put_nowait(None)
                writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%b" % (len(PAGE), PAGE))

    async def becomes(waiting: int) -> None:
        async with asyncio.timeout(PATIENCE):
            while load.load != Load(None, waiting, None):
                await asked.get()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    names = ["ensemble"]
    url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/metrics"
    load = TritonLoad(url, lambda: names[-1], Surroundings(Sweeper(), Timers()))
    try:
        await becomes(0)
        names.append("tensorrt_llm")
        await becomes(7)
    finally:
        await load.aclose()
        server.close()
        await server.wait_closed()
