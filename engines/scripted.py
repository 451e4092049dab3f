"""A model that says what it was told to say: for tests, demos and the first look at a configuration."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping
from typing import ClassVar, Literal, Self

import msgspec
from pydantic import BaseModel, ConfigDict, Field

from engines.api import (
    LARGE_GPU,
    Call,
    Failed,
    Health,
    Interrupted,
    Overloaded,
    Prices,
    Rejected,
    Reply,
    Surroundings,
    Unreachable,
    Usage,
)
from engines.embedded.rules import NEUTRAL
from engines.replies import UnaryReply
from engines.text.answer import DONE, Chunks, Document, Envelope
from engines.units import Duration

CREATED = 1_750_000_000


class ScriptedOptions(BaseModel):
    """What it says, how fast, and how it fails: before the content, or after so many tokens of it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    text: str = Field("The answer is always the same.", min_length=1, description="What it says, a word a token.")
    pause: Duration = Field(0.0, ge=0, le=60, description="Before each token of a stream.")
    failure: Literal["unreachable", "overloaded", "failed", "interrupted"] | None = Field(
        None, description="How it fails; none answers."
    )
    after: int = Field(default=1, ge=1, description="Tokens before an interruption.")


class ScriptedEngine:
    """Deterministic: the same call gets the same answer, whose tokens are the words of its text."""

    Options: ClassVar[type[BaseModel]] = ScriptedOptions
    runs_here: ClassVar[bool] = False
    patience: ClassVar[float | None] = None
    prices: ClassVar[Prices] = LARGE_GPU

    def __init__(self, options: ScriptedOptions, _surroundings: Surroundings) -> None:
        self._options = options
        words = options.text.split(" ")
        self._tokens = [word if at == 0 else f" {word}" for at, word in enumerate(words)]

    def __repr__(self) -> str:
        return f"<ScriptedEngine {len(self._tokens)} tokens, fails {self._options.failure or 'never'}>"

    async def start(self) -> None:
        """There is nothing to start."""

    async def call(self, call: Call) -> Reply:
        match self._options.failure:
            case "unreachable":
                raise Unreachable("The script says that the model server can't be reached.")
            case "overloaded":
                raise Overloaded("The script says that the model server is overloaded.", retry_after=1.0)
            case "failed":
                raise Failed("The script says that the model server failed.")
        _check(call)
        cap = msgspec.json.decode(call.fields.get("max_tokens", call.fields.get("max_completion_tokens", b"null")))
        tokens = self._tokens if cap is None else self._tokens[:cap]
        finish = "stop" if len(tokens) == len(self._tokens) else "length"
        prompt = call.fields.get("messages") or call.fields.get("prompt") or msgspec.Raw(b"")
        usage = Usage(len(bytes(prompt).split()), len(tokens))
        if call.stream:
            await asyncio.sleep(self._options.pause)
            return ScriptedStream(call, self._options, tokens, finish, usage)
        if self._options.failure == "interrupted":
            raise Failed("The script says that the model server failed.")
        return _document(call, tokens, finish, usage)

    async def probe(self) -> Health:
        failing = self._options.failure in ("unreachable", "failed")
        return Health(not failing, "The script says so." if failing else "")

    async def aclose(self) -> None:
        """There is nothing to close."""


def _check(call: Call) -> None:
    """Refuse what a script takes no notice of, but which would change an answer."""
    if call.kind == "embedding":
        raise Rejected("A scripted model makes no embeddings.", param="model", code="unsupported_endpoint")
    for name in call.fields.keys() & NEUTRAL.keys():
        value = msgspec.json.decode(call.fields[name])
        if value is not None and not NEUTRAL[name](value):
            raise Rejected(f"A scripted model does not support '{name}'.", param=name, code="unsupported_parameter")


def _document(call: Call, tokens: list[str], finish: str, usage: Usage) -> UnaryReply:
    choice = Document(0)
    choice.text("".join(tokens))
    choice.finish(finish)
    return UnaryReply({}, Envelope(call, CREATED).document([choice], usage), usage)


class ScriptedStream:
    """The answer token by token."""

    def __init__(self, call: Call, options: ScriptedOptions, tokens: list[str], finish: str, usage: Usage) -> None:
        self.headers: Mapping[bytes, bytes] = {}
        self._call = call
        self._options = options
        self._tokens = tokens
        self._finish = finish
        self._whole = usage
        self._said = 0

    def __repr__(self) -> str:
        return f"<ScriptedStream {self._said} of {len(self._tokens)} tokens>"

    @property
    def usage(self) -> Usage:
        """Exact at every moment: a script knows what it has said."""
        return Usage(self._whole.prompt, self._said)

    async def __aiter__(self) -> AsyncIterator[bytes]:
        options, call = self._options, self._call
        envelope = Envelope(call, CREATED)
        chunks = Chunks(envelope, 0)
        for at, token in enumerate(self._tokens):
            if at:
                await asyncio.sleep(options.pause)
            if options.failure == "interrupted" and at == options.after:
                raise Interrupted("The script says that the model server broke off.")
            self._said += 1
            yield chunks.text(token)
        yield chunks.finish(self._finish)
        if call.show_usage:
            yield envelope.usage(self._whole)
        yield DONE

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        """Nothing is held."""
