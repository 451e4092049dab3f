"""Requests under way, as their users read them."""

from __future__ import annotations

import asyncio
import contextlib
import queue
from collections.abc import Callable, Generator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, Self

from .sampling import SamplingParams


class RequestError(RuntimeError):
    """A request that failed, at the place where it is read."""


class Response(NamedTuple):
    """What one step of the engine brings a request."""

    tokens: list[int]
    finish: str | None = None
    error: str | None = None


@dataclass
class Logprob:
    """Of a token, and how many are likelier."""

    logprob: float
    rank: int | None = None


@dataclass
class CompletionOutput:
    """All so far: `text` and `token_ids` from the beginning."""

    index: int
    text: str = ""
    token_ids: list[int] = field(default_factory=list)
    cumulative_logprob: float | None = None
    logprobs: list[dict[int, Logprob]] = field(default_factory=list)
    finish_reason: str | None = None
    stop_reason: int | str | None = None


class RequestOutput:
    """Gives itself, changed, at each step. Only one made on an event loop can be read there."""

    def __init__(
        self,
        request_id: int,
        prompt_token_ids: list[int],
        params: SamplingParams,
        decode: Callable[[list[int]], str],
        end: Callable[[], None],
    ) -> None:
        self.request_id = request_id
        self.prompt: str | None = None
        self.prompt_token_ids = prompt_token_ids
        self.outputs = [CompletionOutput(0)]
        self._params = params
        self._decode = decode
        self._end = end
        self._aborted = False
        self._shown: list[int] = []
        self.finished = False
        self._queue: queue.Queue[Response] = queue.Queue()
        self._loop: asyncio.AbstractEventLoop | None = None
        with contextlib.suppress(RuntimeError):
            self._loop = asyncio.get_running_loop()
            self._aqueue: asyncio.Queue[Response] = asyncio.Queue()

    def __repr__(self) -> str:
        return f"<RequestOutput {self.request_id} {'finished' if self.finished else 'open'}>"

    def deliver(self, response: Response) -> None:
        """From the engine's thread."""
        if self._loop is None:
            self._queue.put(response)
            return
        with contextlib.suppress(RuntimeError):  # the loop may have ended meanwhile
            self._loop.call_soon_threadsafe(self._aqueue.put_nowait, response)

    def abort(self) -> None:
        self._aborted = True
        self._end()

    def aborted(self) -> bool:
        return self._aborted

    def result(self, timeout: float | None = None) -> Self:
        while not self.finished:
            self._handle(self._queue.get(timeout=timeout))
        return self

    async def aresult(self) -> Self:
        async for _ in self:
            pass
        return self

    def __await__(self) -> Generator[Any, None, Self]:
        return self.aresult().__await__()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Self:
        if self.finished:
            raise StopAsyncIteration
        assert self._loop is not None, (
            "The asyncio event loop was not present during initialization, so async operations are not available."
        )
        self._handle(await self._aqueue.get())
        return self

    def _handle(self, response: Response) -> None:
        if response.error is not None:
            self.finished = True
            raise RequestError(response.error)
        output = self.outputs[0]
        output.token_ids.extend(response.tokens)
        if self._params.logprobs:
            output.logprobs += [{token: Logprob(-0.25, 1)} for token in response.tokens]
        output.finish_reason = response.finish
        self.finished = response.finish is not None
        if response.finish == "stop" and not self._params.include_stop_str_in_output:
            self._cut(output)
        self._shown += output.token_ids[len(self._shown) :]
        output.text = self._decode(self._shown)

    def _cut(self, output: CompletionOutput) -> None:
        """The tokens of what made it stop go. What was already shown of it stays in the text, as with the real one."""
        length = self._params.stopped(output.token_ids)
        if length:
            output.token_ids = output.token_ids[:-length]
