"""The Triton engine on its own in front of a real Triton: made, asked, and its answers read."""

from __future__ import annotations

import contextlib
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec

from engines.api import Call, Kind, Surroundings, Timers, Usage
from engines.triton.engine import TritonEngine
from engines.triton.options import TritonOptions
from loadtests.triton import TritonServer
from tests.support.engines_at_work import started, sweeping

SYSTEM = {"role": "system", "content": "You are a helpful assistant."}
SHORT = Timers(first_token=3, inter_token=3)


def call(kind: Kind = "completion", *, stream: bool = True, **members: Any) -> Call:
    subjects: dict[str, dict[str, Any]] = {
        "chat": {"messages": [SYSTEM, {"role": "user", "content": "What is the capital of France?"}]},
        "completion": {"prompt": "Say it."},
        "embedding": {"input": ["one", "two"]},
    }
    fields = {"model": "m", **({} if kind == "embedding" else {"max_tokens": 8}), **subjects[kind], **members}
    encoded = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in fields.items()}
    identity = f"call-{time.monotonic_ns()}"
    return Call(identity, kind, encoded, "m", stream=stream, show_usage=True, deadline=time.monotonic() + 60)


async def ask(engine: TritonEngine, asked: Call) -> tuple[list[Any], Usage]:
    with await engine.call(asked) as reply:
        told = b"".join([part async for part in reply])
        assert reply.usage is not None
    if not asked.stream:
        return [msgspec.json.decode(told)], reply.usage
    assert told.endswith(b"data: [DONE]\n\n")
    return [msgspec.json.decode(event[6:]) for event in told.split(b"\n\n")[:-2]], reply.usage


def text_of(events: list[Any]) -> str:
    return "".join(choice.get("text", "") for event in events for choice in event["choices"])


@contextlib.asynccontextmanager
async def engine_for(server: TritonServer, model: str, tokenizer: Path, **options: Any) -> AsyncIterator[TritonEngine]:
    server.need(model)
    made = TritonOptions(url=server.grpc, model=model, tokenizer=tokenizer, **options)
    async with sweeping() as sweeper, started(TritonEngine(made, Surroundings(sweeper, SHORT))) as engine:
        yield engine
