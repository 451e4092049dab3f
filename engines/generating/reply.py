"""Answers of servers that generate, as replies: texts on their way, or one whole document."""

from __future__ import annotations

import asyncio
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from typing import Self

import msgspec

from engines.api import Call, EngineError, Sink, Usage
from engines.generating.hearing import Hearing
from engines.replies import UnaryReply, interrupted
from engines.text.answer import DONE, Envelope


class Tally(msgspec.Struct, frozen=True):
    """The texts of one request, `n` of each prompt, and what they have used.

    The prompts' tokens are the server's number where it tells one, else `prompt`, which was counted here; where
    neither is known they are 0, and not exact.
    """

    hearings: Sequence[Hearing]
    prompt: int | None
    n: int = 1

    @property
    def usage(self) -> Usage:
        told: int | None = 0
        completion, counted = 0, False
        for at, hearing in enumerate(self.hearings):
            one = hearing.generation
            completion += one.completion
            counted = counted or one.counted
            if at % self.n == 0:
                told = None if told is None or one.prompt is None else told + one.prompt
        prompt = self.prompt if told is None else told
        return Usage(prompt or 0, completion, prompt is not None and not counted)

    @property
    def generated(self) -> Usage | None:
        """The same of a stream without content: None unless there were tokens, as of one that is held back."""
        usage = self.usage
        return usage if usage.completion else None


class Stream(ABC):
    """A stream of events whose first content is here; holds its calls until it is left."""

    def __init__(self, call: Call, envelope: Envelope, tally: Tally) -> None:
        self.headers: Mapping[bytes, bytes] = {}
        self._show_usage = call.show_usage
        self._envelope = envelope
        self._tally = tally
        self._first = b""
        for hearing in tally.hearings:
            hearing.finale = self._finale

    @property
    def usage(self) -> Usage:
        """At every moment what has been counted or reported until then."""
        return self._tally.usage

    @classmethod
    async def open(cls, call: Call, envelope: Envelope, tally: Tally) -> Self:
        """Waits for the first content: until then another server may still be asked. Lets go if it fails."""
        reply = cls(call, envelope, tally)
        try:
            reply._first = await reply._next()
        except BaseException:
            call.spent = tally.generated
            reply.__exit__()
            raise
        return reply

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> bytes:
        data, self._first = self._first, b""
        if not data:
            try:
                data = await self._next()
            except EngineError as error:
                raise interrupted(error) from None
        if data:
            return data
        raise StopAsyncIteration

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        for hearing in self._tally.hearings:
            hearing.close()

    @abstractmethod
    async def _next(self) -> bytes:
        """What has come since; b"" at the end. Raises EngineError."""

    def _finale(self) -> bytes:
        """Only the text that is done last brings the end of the stream."""
        if not all(hearing.generation.done for hearing in self._tally.hearings):
            return b""
        return self._envelope.usage(self.usage) + DONE if self._show_usage else DONE


class StreamReply(Stream):
    """Of a single text."""

    def __init__(self, call: Call, envelope: Envelope, tally: Tally) -> None:
        super().__init__(call, envelope, tally)
        self._hearing = tally.hearings[0]

    def __repr__(self) -> str:
        return f"<StreamReply {self._hearing!r}>"

    async def forward(self, sink: Sink) -> None:
        """Chunks go from the connection to the sink as they come."""
        data, self._first = self._first, b""
        if data and not sink.take(data):
            await sink.drain()
        try:
            await self._hearing.forward(sink)
        except EngineError as error:
            raise interrupted(error) from None

    async def _next(self) -> bytes:
        return await self._hearing.read()


class _Nowhere:
    """Takes what documents, which keep their text, do not say."""

    def take(self, data: bytes) -> bool:
        return True

    async def drain(self) -> None:
        """Nothing is ever full."""


async def collect(call: Call, tally: Tally, document: Callable[[Usage], bytes]) -> UnaryReply:
    """Waits until everything is whole. Raises EngineError; nothing is held any more then, nor after it returns."""
    try:
        await _all_of(tally.hearings)
    except BaseException:
        call.spent = tally.usage
        raise
    finally:
        for hearing in tally.hearings:
            hearing.close()
    usage = tally.usage
    return UnaryReply({}, document(usage), usage)


async def _all_of(hearings: Sequence[Hearing]) -> None:
    if len(hearings) == 1:
        await hearings[0].forward(_Nowhere())
        return
    try:
        async with asyncio.TaskGroup() as group:
            for hearing in hearings:
                group.create_task(hearing.forward(_Nowhere()))
    except BaseExceptionGroup as several:
        raise several.exceptions[0] from None  # the others were cancelled for it
