"""An embedded engine on a micro model, running for the length of a block, and calls for it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from engines.api import Call, Kind, Reply, Surroundings, Timers
from engines.embedded.engine import EmbeddedEngine, EmbeddedOptions
from tests.support.engines_at_work import started, sweeping
from tests.support.waiting import until_told

QUESTION = [{"role": "user", "content": "What is the capital of France?"}]
NEVER_ENDS: dict[str, Any] = {"logit_bias": {"0": -100, "1": -100, "2": -100}}
"""Bans the micro model's specials, so that only the cap ends an answer."""


@contextlib.asynccontextmanager
async def running(*, cache: Path | None = None, **options: Any) -> AsyncIterator[EmbeddedEngine]:
    async with sweeping() as sweeper:
        engine = EmbeddedEngine(EmbeddedOptions(**options), Surroundings(sweeper, Timers(), cache))
        async with started(engine):
            yield engine


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


def endless(**members: Any) -> Call:
    return a_call(stream=True, max_tokens=30_000, **NEVER_ENDS, **members)


def pid_of(engine: EmbeddedEngine) -> int:
    assert engine._child.pid is not None
    return engine._child.pid


def words_of(pid: int) -> bytes:
    """What everybody on the machine can read of a process: its command line."""
    return Path(f"/proc/{pid}/cmdline").read_bytes()


async def slots_of(engine: EmbeddedEngine) -> list[dict[str, Any]]:
    _status, slots = await engine._child.served._ask("GET", "/slots")
    return msgspec.json.decode(slots, type=list[dict[str, Any]])


async def busy_slots(engine: EmbeddedEngine) -> int:
    return sum(slot["is_processing"] for slot in await slots_of(engine))


async def until_busy(engine: EmbeddedEngine, count: int) -> None:
    await until_told(lambda: busy_slots(engine), lambda busy: busy == count)
