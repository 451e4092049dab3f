"""What a model server looks like from here: one call in, one reply out, five ways to fail.

An engine is one replica: one upstream address or one child process. It speaks OpenAI JSON towards us
whatever it speaks towards the server, and says nothing about HTTP statuses: `gateway/errors.py` does.

    EngineError
    ├── Unreachable   no connection, or none that answered      retry_safe
    ├── Overloaded    the server says it has too much to do     retry_safe
    ├── Failed        it broke before the first content byte    retry_safe
    │   └── TimedOut  it said nothing within a timer            retry_safe
    ├── Rejected      the caller's mistake                      not
    └── Interrupted   it broke after the first content byte     not
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Final, Literal, Protocol, Self, runtime_checkable

import msgspec
from pydantic import BaseModel

from engines.sweeper import Sweeper

Kind = Literal["chat", "completion", "embedding"]
SUBJECTS: Mapping[Kind, str] = {"chat": "messages", "completion": "prompt", "embedding": "input"}
"""Where the prompt stands in a request of each kind."""

Phase = Literal["connect", "first_token", "inter_token", "total"]


class Usage(msgspec.Struct, gc=False):
    """Tokens of one call. `exact` is false where the count was made here because the server's never came."""

    prompt: int
    completion: int
    exact: bool = True


class Call(msgspec.Struct, gc=False):
    """One request as an engine sees it; it does not say who asked.

    `fields` are the top-level members of an OpenAI request body, still encoded, with the upstream's model name in
    `model`, a token cap and, for streams, `stream_options.include_usage` already set. `model` is the name the client
    knows; the engine puts it back into the answer. `deadline` is in seconds on the event loop's clock.
    """

    id: str
    kind: Kind
    fields: dict[str, msgspec.Raw]
    model: str
    stream: bool
    show_usage: bool
    deadline: float
    spent: Usage | None = None
    """Tokens of an answer that was cut off before there was a reply to tell them; the engine's to set."""

    @property
    def whole(self) -> bool:
        """Whether it asks for a text in one piece, which is silent until its end."""
        return not self.stream and self.kind != "embedding"

    def body(self) -> bytes:
        """The request as JSON."""
        return msgspec.json.encode(self.fields)


class Reply(Protocol):
    """An answer whose first content is already here.

    Iterating gives bytes for the client: a unary answer is one JSON document, a stream is whole server-sent events,
    the last of them `data: [DONE]`, the usage event only if the call shows it. It raises `Interrupted` if the server
    fails before that end. Leaving the `with` block closes the upstream side at once and never waits.
    """

    headers: Mapping[bytes, bytes]

    @property
    def usage(self) -> Usage | None: ...
    def __aiter__(self) -> AsyncIterator[bytes]: ...
    def __enter__(self) -> Self: ...
    def __exit__(self, *exc: object) -> None: ...


class Sink(Protocol):
    """Where an answer goes. `take` never waits and tells whether more may come before `drain` has been awaited."""

    def take(self, data: bytes) -> bool: ...
    async def drain(self) -> None: ...


Forward = Callable[[Sink], Awaitable[None]]
"""`forward`, of replies that have it: hands the reply on to a sink, more cheaply than by iterating, to the same end and
errors.
"""


async def pass_on(reply: Reply, sink: Sink) -> None:
    """Hand a reply on to its end, in the cheapest way it has."""
    forward: Forward | None = getattr(reply, "forward", None)  # a tenth of what isinstance of a Protocol costs
    if forward is not None:
        await forward(sink)
        return
    async for data in reply:
        if not sink.take(data):
            await sink.drain()


@dataclass(slots=True, frozen=True)
class Health:
    """What a probe found: whether the server would take a call now, and if not, why (for people, no secrets)."""

    ready: bool
    reason: str = ""
    starting: bool = False
    """Whether nothing is wrong yet: this gateway starts it, for the first time."""


@dataclass(slots=True, frozen=True)
class Capacity:
    """What a server takes at a time before it would let calls wait: calls, tokens of prompts that it has not begun to
    answer, and tokens in its KV cache, prompts and answers. None: it does not say, which is not without end.

    An engine that knows has it as `capacity`, read some ten times a second; it may change, and is None while unknown.
    """

    requests: int | None = None
    prompt_tokens: int | None = None
    kv_tokens: int | None = None


@dataclass(slots=True, frozen=True)
class Load:
    """Requests under way and waiting in a server, and the share of its KV cache that is taken (0 to 1), as it says.

    None: it does not say, which is not idle. `capacity` is there where it says with them how much it takes.
    """

    running: int | None = None
    waiting: int | None = None
    kv_used: float | None = None
    capacity: Capacity | None = None


class Engine(Protocol):
    """A replica that can be called, probed and closed. `start` is called once, on the running loop."""

    async def start(self) -> None: ...
    async def call(self, call: Call) -> Reply: ...
    async def probe(self) -> Health: ...
    async def aclose(self) -> None: ...


@dataclass(slots=True, frozen=True)
class Timers:
    """Bounds on an upstream's silence, in seconds. The total bound is the call's own deadline."""

    connect: float = 5.0
    first_token: float = 120.0
    inter_token: float = 60.0


@dataclass(slots=True, frozen=True)
class Surroundings:
    """What every engine is built with besides its own options."""

    sweeper: Sweeper
    timers: Timers
    cache: Path | None = None
    """A folder for files that are fetched once."""
    upstream: str = ""
    """What the server calls the model, as the configuration has it for all replicas."""


@runtime_checkable
class Adapting(Protocol):
    """Options of a replica that has adapters for its model, each called for as `<upstream's model name>:<adapter>`."""

    @property
    def adapter_names(self) -> tuple[str, ...]: ...


@dataclass(slots=True, frozen=True)
class Prices:
    """Seconds of a server's time per token, as long as none was seen at work.

    `decode` is for each token of an answer, other calls of the batch taken off.
    """

    prefill: float
    decode: float


LARGE_GPU: Final = Prices(28e-6, 130e-6)
"""With a model of some billions of parameters, roughly."""


class EngineFactory(Protocol):
    """A class in `ENGINES`: its options, checked by pydantic, lie beside it.

    `runs_here`: it starts programs on this machine, or serves files of it; only the configuration's file may name it.
    `patience`: seconds that a call for it may wait for its start, whatever its class, where its version does not say;
    None for as long as calls wait in general. `prices`: what its servers cost, before one was seen at work.
    """

    @property
    def Options(self) -> type[BaseModel]: ...  # noqa: N802  # a class
    @property
    def runs_here(self) -> bool: ...
    @property
    def patience(self) -> float | None: ...
    @property
    def prices(self) -> Prices: ...
    def __call__(self, options: Any, surroundings: Surroundings, /) -> Engine: ...


class EngineError(Exception):
    """Why a call got no (whole) answer. The text is for the client: no secrets, no prompt, no addresses.

    `died`: the server, or the connection to it, broke down while it had the call: it may have been because of it.
    `spent`: nothing else was left to be tried; `poison`: servers have died of the call, one after the other. Whoever
    dispatches says so.
    """

    retry_safe: ClassVar[bool] = False
    spent = False
    poison = False

    def __init__(self, message: str, *, died: bool = False) -> None:
        super().__init__(message)
        self.message = message
        self.died = died


class Unreachable(EngineError):
    """No connection, or one that closed before a byte of an answer."""

    retry_safe = True


class Overloaded(EngineError):
    """The server refused for load; `retry_after` is in seconds, None if it did not say."""

    retry_safe = True

    def __init__(self, message: str, retry_after: float | None = None) -> None:
        super().__init__(message)
        self.retry_after = retry_after


class Failed(EngineError):
    """The server broke, or answered nonsense, before the first content byte."""

    retry_safe = True


class TimedOut(Failed):
    """The server was silent for longer than the timer of a phase allows."""

    def __init__(self, phase: Phase, seconds: float) -> None:
        super().__init__(
            f"The model server did not answer within its {phase.replace('_', ' ')} limit of {seconds:g} s."
        )
        self.phase = phase


class Rejected(EngineError):
    """The caller's mistake: `kind` picks the status, `param` and `code` go into the answer."""

    def __init__(
        self,
        message: str,
        *,
        kind: Literal["invalid", "too_large"] = "invalid",
        param: str | None = None,
        code: str | None = None,
    ) -> None:
        super().__init__(message)
        self.kind = kind
        self.param = param
        self.code = code


class Interrupted(EngineError):
    """The server broke after the first content byte; `phase` is that of the timer it was, None if it was none."""

    def __init__(self, message: str, *, phase: Phase | None = None, died: bool = False) -> None:
        super().__init__(message, died=died)
        self.phase = phase
