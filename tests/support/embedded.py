"""An embedded engine on a micro model, running for the length of a block, and calls for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import msgspec

from engines.api import Call, Kind, Reply, Surroundings, Timers
from engines.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engines.sweeper import Sweeper

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
NEVER_ENDS: dict[str, Any] = {"logit_bias": {"0": -100, "1": -100, "2": -100}}
"""Bans the micro model's specials, so that only the cap ends an answer."""


@contextlib.asynccontextmanager
async def running(*, cache: Path | None = None, **options: Any) -> AsyncIterator[EmbeddedEngine]:
    sweeper = Sweeper()
    sweeping = asyncio.create_task(sweeper.run(lambda _now: None))
    engine = EmbeddedEngine(EmbeddedOptions(**options), Surroundings(sweeper, Timers(), cache))
    try:
        await engine.start()
        yield engine
    finally:
        await engine.aclose()
        sweeping.cancel()


def a_call(kind: Kind = "chat", *, stream: bool = False, patience: float = 60, **members: Any) -> Call:
    asked: dict[str, Any] = {"model": "upstream", "max_tokens": 8, **members}
    if kind == "chat":
        asked.setdefault("messages", QUESTION)
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    deadline = asyncio.get_running_loop().time() + patience
    return Call("call-1", kind, fields, "public", stream=stream, show_usage=True, deadline=deadline)


async def whole(reply: Reply) -> bytes:
    return b"".join([data async for data in reply])


async def answer(engine: EmbeddedEngine, call: Call) -> dict[str, Any]:
    with await engine.call(call) as reply:
        found: dict[str, Any] = msgspec.json.decode(await whole(reply))
    return found


async def until(condition: Callable[[], bool], seconds: float = 20) -> None:
    async with asyncio.timeout(seconds):
        while not condition():  # noqa: ASYNC110 - what is waited for happens in another process
            await asyncio.sleep(0.01)


def running_process(pid: int) -> bool:
    """Whether the process runs; one that is dead and waits for its parent's notice does not."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return False
    return status.rpartition(")")[2].split()[0] != "Z"
