"""Engines whose calls end when, and as, a test says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Mapping, Sequence
from typing import Self

from engines.api import Call, EngineError, Health, Usage
from router.api import Rank


class Answer:
    """A reply of one event, that knows how often it was closed."""

    headers: Mapping[bytes, bytes] = {}
    usage: Usage | None = Usage(3, 1)

    def __init__(self, *, finish: bytes = b"stop", fails_to_close: bool = False) -> None:
        self.closed = 0
        self._finish = finish
        self._fails_to_close = fails_to_close

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'data: {"choices":[{"finish_reason":"%b"}]}\n\n' % self._finish

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.closed += 1
        if self._fails_to_close:
            raise OSError


class Gate:
    """An engine that keeps each call waiting until `end`; `left` counts those that were cancelled.

    What a cancelled call has used until then is `used`; a `deaf` one answers as if it had not been.
    """

    def __init__(self, used: Usage | None = None, *, deaf: Answer | None = None) -> None:
        self.calls: list[Call] = []
        self.given: list[Answer] = []
        """Replies that its calls came back with."""
        self.left = 0
        self._used = used
        self._deaf = deaf
        self._waiting: list[asyncio.Future[Answer]] = []

    def __repr__(self) -> str:
        return f"<Gate {sum(not each.done() for each in self._waiting)} waiting, {self.left} left>"

    def end(self, what: Answer | BaseException) -> None:
        """The oldest call that waits gets this, if one does."""
        waiting = next((each for each in self._waiting if not each.done()), None)
        if waiting is None:
            return
        if isinstance(what, BaseException):
            waiting.set_exception(what)
        else:
            waiting.set_result(what)

    async def start(self) -> None: ...

    async def call(self, call: Call) -> Answer:
        self.calls.append(call)
        waiting: asyncio.Future[Answer] = asyncio.get_running_loop().create_future()
        self._waiting.append(waiting)
        try:
            answer = await waiting
        except asyncio.CancelledError:
            self.left += 1
            call.spent = self._used
            if self._deaf is None:
                raise
            answer = self._deaf
        self.given.append(answer)
        return answer

    async def probe(self) -> Health:
        return Health(ready=True)

    async def aclose(self) -> None: ...


class Noted:
    """What is written down of a request."""

    def __init__(self, tokens: int = 1, *, whole: bool = False, rank: Rank = 1) -> None:
        self.tenant = ""
        self.weight = 1
        self.rank: Rank = rank
        self.body_bytes = self.text_bytes = 4 * tokens
        self.answers = 1
        self.prompt = tokens
        self.tokens = tokens
        self.work = 0.001 * tokens
        self.queued = 0.0
        self.prompt_tokens = 0
        self.completion_tokens = 0
        self.usage_exact = False
        self.output_cap = 0
        self.first_at = 0.0
        self.attempts = 0
        self.replica = ""
        self.failed: Sequence[tuple[str, type[EngineError]]] = ()
        self.whole = whole
        self.last_at = 0.0
        self.paused = False
