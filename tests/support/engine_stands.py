"""Every engine of `ENGINES` on a stand of its own: running, told to answer, to go on, to refuse or to be away."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
from collections.abc import AsyncIterator, Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Protocol

import msgspec

from engines.api import Call, Engine, Kind, Surroundings, Timers
from engines.embedded.engine import EmbeddedEngine, EmbeddedOptions
from engines.openai import OpenAIEngine
from engines.openai_options import OpenAIOptions
from engines.scripted import ScriptedEngine, ScriptedOptions
from engines.supervisor import Supervisor
from engines.sweeper import Sweeper
from engines.tensorrt_llm.engine import TensorrtLlmEngine
from engines.tensorrt_llm.options import TensorrtLlmOptions
from engines.triton.engine import TritonEngine
from engines.triton.options import TritonOptions
from loadtests.fleet.fleet import Fleet
from loadtests.fleet.replica import Replica
from loadtests.fleet.settings import Settings
from tests.support.embedded import NEVER_ENDS, busy_slots, slots_of
from tests.support.engines_at_work import started, sweeping
from tests.support.micro_gguf import write_micro_gguf
from tests.support.tensorrt_llm import Journal, fake_engine, fake_model, real_model
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.waiting import until

PUBLIC = 'public/"name"\\1'
"""The name that clients know: with a slash, and characters that JSON escapes."""


class Stand(Protocol):
    """What the contract asks of each engine's stand."""

    kinds: tuple[Kind, ...]
    """What the engine answers; the other kinds it refuses."""
    plain: ClassVar[dict[str, Any]]
    """Members of a call whose answer is cut by a cap of 6 tokens."""
    endless: ClassVar[dict[str, Any]]
    """Members of a stream that lasts long enough to be left."""
    wrong: ClassVar[dict[str, Any]]
    """Members that the engine refuses as the caller's mistake."""

    @property
    def engine(self) -> Engine: ...

    @property
    def address(self) -> str:
        """Where the model server is; never to be told."""
        ...

    async def busy(self) -> int:
        """Calls that the model server works on at this moment."""
        ...

    async def served(self) -> int:
        """Completions that the model server has begun; the same number if it does not count."""
        ...

    async def take_away(self) -> None:
        """Make the model server unreachable."""
        ...


def call(stand: Stand, kind: Kind = "chat", *, stream: bool = False, show_usage: bool = False, **members: Any) -> Call:
    """A call as the gateway makes it; `members` besides those that every call of its kind has."""
    subject = {"chat": "messages", "completion": "prompt", "embedding": "input"}[kind]
    said = [{"role": "user", "content": "Say something."}] if kind == "chat" else "Say something."
    asked = {"model": "upstream", subject: said, **({} if kind == "embedding" else {"max_tokens": 6}), **members}
    if stream:
        asked |= {"stream": True, "stream_options": {"include_usage": True}}
    fields = {name: msgspec.Raw(msgspec.json.encode(value)) for name, value in asked.items()}
    deadline = asyncio.get_running_loop().time() + 60
    return Call("call-1", kind, fields, PUBLIC, stream=stream, show_usage=show_usage, deadline=deadline)


class _Simulated:
    """What is common to all whose server is of the fleet."""

    def __init__(self, replica: Replica) -> None:
        self._replica = replica

    async def busy(self) -> int:
        return sum(one.outcome is None for one in self._replica.calls)

    async def served(self) -> int:
        return self._replica.calls.counts["started"]

    async def take_away(self) -> None:
        self._replica.listen("refused", drop=True)


class _OpenAI(_Simulated):
    kinds: tuple[Kind, ...] = ("chat", "completion", "embedding")
    plain: ClassVar[dict[str, Any]] = {}
    endless: ClassVar[dict[str, Any]] = {"max_tokens": 5000, "user": "@@tokens=5000,delay_ms=5@@"}
    wrong: ClassVar[dict[str, Any]] = {"user": "@@fault=status,status=400@@"}

    def __init__(self, fleet: Fleet, surroundings: Surroundings) -> None:
        super().__init__(fleet.replicas[0])
        self.address = fleet.urls[0]
        self.engine = OpenAIEngine(OpenAIOptions(url=self.address), surroundings)


class _Scripted:
    kinds: tuple[Kind, ...] = ("chat", "completion")
    plain: ClassVar[dict[str, Any]] = {}
    endless: ClassVar[dict[str, Any]] = {"max_tokens": 5000}
    wrong: ClassVar[dict[str, Any]] = {"tools": [{"type": "function", "function": {"name": "f"}}]}
    address = "nowhere"

    def __init__(self, surroundings: Surroundings) -> None:
        self.engine = ScriptedEngine(ScriptedOptions(text="word " * 5000, pause=0.002), surroundings)

    async def busy(self) -> int:
        return 0  # there is no server

    async def served(self) -> int:
        return 0

    async def take_away(self) -> None:
        self.engine = ScriptedEngine(ScriptedOptions(failure="unreachable"), Surroundings(Sweeper(), Timers()))


class _Embedded:
    kinds: tuple[Kind, ...] = ("chat", "completion")
    plain: ClassVar[dict[str, Any]] = NEVER_ENDS
    endless: ClassVar[dict[str, Any]] = {"max_tokens": 30_000, **NEVER_ENDS}
    wrong: ClassVar[dict[str, Any]] = {"tools": [{"type": "function", "function": {"name": "f"}}]}

    def __init__(self, model: Path, surroundings: Surroundings) -> None:
        options = EmbeddedOptions(model_path=model, slots=2, context=65_536, max_prompt_tokens=2000)
        self.engine = EmbeddedEngine(options, surroundings)

    @property
    def address(self) -> str:
        return self.engine._child.served._pool.authority.decode()

    async def busy(self) -> int:
        return await busy_slots(self.engine)

    async def served(self) -> int:
        return max(int(slot.get("id_task", 0)) for slot in await slots_of(self.engine))

    async def take_away(self) -> None:
        await _kill(self.engine._child)


class _Triton(_Simulated):
    kinds: tuple[Kind, ...] = ("chat", "completion")
    plain: ClassVar[dict[str, Any]] = {}
    endless: ClassVar[dict[str, Any]] = {"max_tokens": 5000}
    wrong: ClassVar[dict[str, Any]] = {"logit_bias": {"7": 1.0}}

    def __init__(self, fleet: Fleet, folder: Path, surroundings: Surroundings) -> None:
        super().__init__(fleet.replicas[0])
        self.address = fleet.targets[0]
        tokenizer = write_tiny_tokenizer(folder / "tokenizer")
        options = TritonOptions(url=self.address, model="tensorrt_llm", tokenizer=tokenizer)
        self.engine = TritonEngine(options, surroundings)


class _TensorrtLlm:
    kinds: tuple[Kind, ...] = ("chat", "completion")
    plain: ClassVar[dict[str, Any]] = {}
    endless: ClassVar[dict[str, Any]] = {"max_tokens": 5000}
    wrong: ClassVar[dict[str, Any]] = {"logit_bias": {"7": 1.0}}

    def __init__(self, engine: TensorrtLlmEngine, journal: Journal | None = None) -> None:
        self.engine = engine
        self._journal = journal  # the real package keeps none
        self.address = "snowshed-"  # how the folder with its socket begins

    async def busy(self) -> int:
        running = (await self.engine._child.served.connection.state(10)).running
        return 1 if running is None else running  # what is not known is not idle

    async def served(self) -> int:
        return len(self._journal.notes("begin")) if self._journal else 0

    async def take_away(self) -> None:
        await _kill(self.engine._child)


async def _kill(child: Supervisor[Any]) -> None:
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    await until(lambda: "down" in repr(child))


@contextlib.asynccontextmanager
async def _openai(surroundings: Surroundings, _folder: Path) -> AsyncIterator[Stand]:
    async with Fleet() as fleet:
        yield _OpenAI(fleet, surroundings)


@contextlib.asynccontextmanager
async def _scripted(surroundings: Surroundings, _folder: Path) -> AsyncIterator[Stand]:
    yield _Scripted(surroundings)


@contextlib.asynccontextmanager
async def _embedded(surroundings: Surroundings, folder: Path) -> AsyncIterator[Stand]:
    yield _Embedded(write_micro_gguf(folder / "micro.gguf"), surroundings)


@contextlib.asynccontextmanager
async def _triton(surroundings: Surroundings, folder: Path) -> AsyncIterator[Stand]:
    async with Fleet(settings=Settings(tokens=5000, delay_ms=2), contract="llmapi") as fleet:
        yield _Triton(fleet, folder, surroundings)


@contextlib.asynccontextmanager
async def _tensorrt_llm(surroundings: Surroundings, folder: Path) -> AsyncIterator[Stand]:
    if (model := real_model()) is not None:
        yield _TensorrtLlm(TensorrtLlmEngine(TensorrtLlmOptions(model=str(model)), surroundings))
    else:
        path = fake_model(folder / "model")
        yield _TensorrtLlm(fake_engine(path, surroundings), Journal(path))


STANDS: Mapping[str, Callable[[Surroundings, Path], contextlib.AbstractAsyncContextManager[Stand]]] = {
    "embedded": _embedded,
    "openai": _openai,
    "scripted": _scripted,
    "tensorrt_llm": _tensorrt_llm,
    "triton": _triton,
}
"""One for each entry of `ENGINES`: the contract fails for an engine that has none."""


@contextlib.asynccontextmanager
async def standing(name: str, folder: Path) -> AsyncIterator[Stand]:
    """The engine of that name, started; closed after the block."""
    async with (
        sweeping() as sweeper,
        STANDS[name](Surroundings(sweeper, Timers()), folder) as stand,
        started(stand.engine),
    ):
        yield stand
