"""A TensorRT-LLM engine over the fake package, with what the fake was heard to do; or over the real one.

The real one is taken where it is installed and TENSORRT_LLM_MODEL names a folder with a small chat model.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
from collections import Counter
from collections.abc import AsyncIterator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import msgspec

from engines.api import Call, Kind, Reply, Surroundings, Timers
from engines.tensorrt_llm.engine import TensorrtLlmEngine
from engines.tensorrt_llm.options import TensorrtLlmOptions
from tests.support.engines_at_work import started, sweeping
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.waiting import until

FAKE = Path(__file__).parent / "fake_tensorrt_llm"


def real_model() -> Path | None:
    """The folder of a model for the real package, where there are both."""
    named = os.environ.get("TENSORRT_LLM_MODEL")
    return Path(named) if named and find_spec("tensorrt_llm") is not None else None


def fake_model(folder: Path, **settings: Any) -> Path:
    """A folder that the fake takes for a model; see its `LLM`."""
    write_tiny_tokenizer(folder)
    (folder / "fake.json").write_bytes(msgspec.json.encode(settings))
    return folder


def fake_engine(model: Path, surroundings: Surroundings, **options: Any) -> TensorrtLlmEngine:
    return TensorrtLlmEngine(TensorrtLlmOptions(model=str(model), **options), surroundings, [FAKE])


class Journal:
    """What the fake has written down."""

    def __init__(self, model: Path) -> None:
        self._path = model / "journal"

    def __repr__(self) -> str:
        return f"<Journal {dict(Counter(note['what'] for note in self.notes()))}>"

    def notes(self, what: str = "") -> list[dict[str, Any]]:
        lines = self._path.read_bytes().splitlines() if self._path.exists() else []
        notes = [msgspec.json.decode(line) for line in lines]
        return [note for note in notes if what in ("", note["what"])]

    async def until(self, what: str, count: int = 1) -> list[dict[str, Any]]:
        """The notes of a kind, once there are so many."""
        return await until(lambda: self.notes(what), lambda notes: len(notes) >= count)


@contextlib.asynccontextmanager
async def running(model: Path, timers: Timers | None = None, **options: Any) -> AsyncIterator[TensorrtLlmEngine]:
    """An engine over the fake, started."""
    async with sweeping() as sweeper:
        engine = fake_engine(model, Surroundings(sweeper, timers or Timers()), **options)
        async with started(engine):
            yield engine


def call(orders: str = "", *, kind: Kind = "chat", stream: bool = False, seconds: float = 60, **members: Any) -> Call:
    """A call of 12 tokens, unless told otherwise; `orders` are those of the fake's script."""
    text = f"Say something. {orders}"
    subject = {"messages": [{"role": "user", "content": text}]} if kind == "chat" else {"prompt": text}
    asked = {"model": "m", "max_tokens": 12} | subject | members
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    deadline = asyncio.get_running_loop().time() + seconds
    return Call("call-1", kind, fields, "public", stream=stream, show_usage=True, deadline=deadline)


async def answer(engine: TensorrtLlmEngine, asked: Call) -> dict[str, Any]:
    """The whole document."""
    with await engine.call(asked) as reply:
        document: dict[str, Any] = msgspec.json.decode(b"".join([part async for part in reply]))
        return document


async def chunks(reply: Reply) -> list[dict[str, Any]]:
    """What is left of a stream, parsed."""
    events = b"".join([part async for part in reply]).split(b"\n\n")
    assert events[-2:] == [b"data: [DONE]", b""]
    return [msgspec.json.decode(event.removeprefix(b"data: ")) for event in events[:-2]]


def text_of(events: list[dict[str, Any]]) -> str:
    deltas = [choice["delta"] for event in events for choice in event["choices"]]
    return "".join(delta.get("content") or "" for delta in deltas)
