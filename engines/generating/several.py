"""A stream of several texts at once, each over a call of its own: `n` choices, or completions of several prompts."""

from __future__ import annotations

import asyncio

from engines.api import Call, EngineError
from engines.generating.hearing import Hearing
from engines.generating.reply import Stream, Tally
from engines.text.answer import Envelope

MAX_HELD = 32 * 1024
"""Bytes held for a client that is behind, before the servers have to wait."""


class Funnel:
    """A sink of many and one reader. Those who pour wait once it is full, until it has been emptied."""

    def __init__(self) -> None:
        self._held: list[bytes] = []
        self._size = 0
        self._changed = asyncio.Event()
        self._empty = asyncio.Event()

    def take(self, data: bytes) -> bool:
        self._held.append(data)
        self._size += len(data)
        self._empty.clear()
        self._changed.set()
        return self._size < MAX_HELD

    async def drain(self) -> None:
        await self._empty.wait()

    def wake(self) -> None:
        """Something else has happened that the reader wants to know."""
        self._changed.set()

    async def more(self) -> None:
        """Until there has been something new since the last time."""
        await self._changed.wait()
        self._changed.clear()

    def pour(self) -> bytes:
        """All there is, without waiting."""
        data = b"".join(self._held)
        self._held.clear()
        self._size = 0
        self._empty.set()
        return data


class SeveralReply(Stream):
    """The first content of any of the texts is here; where one breaks, all do."""

    def __init__(self, call: Call, envelope: Envelope, tally: Tally) -> None:
        super().__init__(call, envelope, tally)
        self._hearings = tally.hearings
        self._funnel = Funnel()
        self._error: EngineError | None = None
        loop = asyncio.get_running_loop()
        self._tasks = [loop.create_task(self._hear(hearing)) for hearing in tally.hearings]

    def __repr__(self) -> str:
        done = sum(hearing.generation.done for hearing in self._hearings)
        return f"<SeveralReply {done} of {len(self._hearings)} texts done>"

    def __exit__(self, *exc: object) -> None:
        super().__exit__(*exc)
        for task in self._tasks:
            task.cancel()

    async def _next(self) -> bytes:
        while not (data := self._funnel.pour()):
            if self._error is not None:
                raise self._error
            if all(task.done() for task in self._tasks):
                for task in self._tasks:
                    task.result()  # raises what was no EngineError: a mistake of ours is no end either
                break
            await self._funnel.more()
        return data

    async def _hear(self, hearing: Hearing) -> None:
        try:
            await hearing.forward(self._funnel)
        except EngineError as error:
            self._error = self._error or error
        finally:
            # The reader looks whether all tasks are done, and this one is not quite.
            asyncio.get_running_loop().call_soon(self._funnel.wake)
