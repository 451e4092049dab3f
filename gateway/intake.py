"""A request's body on its way in: bounded, timed, and at most a first portion taken before somebody asks for it."""

from __future__ import annotations

import asyncio
from typing import Protocol

from gateway.body_memory import BodyMemory
from gateway.errors import BODIES_FULL, BODY_TOO_LARGE, Problem, Refusal

FIRST_PORTION = 64 * 1024
"""Bytes taken in before the pipeline asks: whoever is refused at the headers never fills memory."""


class Source(Protocol):
    """Where a body comes from, as far as it can be slowed down."""

    def pause_reading(self) -> None: ...
    def resume_reading(self) -> None: ...
    def send_continue(self) -> None: ...


class Intake:
    """Collects one body. `feed`, `end` and `fail` come from the protocol, `read` from the pipeline.

    `expects`: the client waits for a 100 (Continue) before it sends.
    """

    __slots__ = (
        "_asked",
        "_closed",
        "_declared",
        "_expects",
        "_limit",
        "_memory",
        "_parts",
        "_problem",
        "_source",
        "_waiter",
        "complete",
        "size",
    )

    def __init__(self, source: Source, memory: BodyMemory, limit: int, *, expects: bool = False) -> None:
        self._source = source
        self._expects = expects
        self._memory = memory
        self._limit = limit
        self._parts: list[bytes] = []
        self._problem: Problem | None = None
        self._declared: int | None = None
        self.complete = False
        """Whether the last byte is in."""
        self._closed = False
        self._asked = False
        self._waiter: asyncio.Future[None] | None = None
        self.size = 0

    def __repr__(self) -> str:
        return f"<Intake {self.size} B, {'complete' if self.complete else 'open'}>"

    @property
    def most(self) -> int:
        """Bytes that the body may have in the end: as declared, else as many as are taken of any."""
        return self._limit if self._declared is None else self._declared

    @property
    def disposable(self) -> bool:
        """Whether what is still to come is surely on its way, and little: it may be read and thrown away."""
        return not self._expects and self._declared is not None and self._declared <= FIRST_PORTION

    def expect(self, length: int) -> None:
        """Refuse a body by its declared length, before a byte of it was read."""
        self._declared = length
        if length > self._limit:
            self.fail(BODY_TOO_LARGE)

    def feed(self, data: bytes) -> None:
        if self._problem is not None or self._closed:
            return
        memory, more = self._memory, len(data)
        size, held = self.size + more, memory.held + more
        if size > self._limit:
            self.fail(BODY_TOO_LARGE)
        elif held > memory.bound:
            self.crowd_out()
        else:
            memory.held = held
            self.size = size
            self._parts.append(data)
            if size > FIRST_PORTION and not self._asked:
                self._source.pause_reading()

    def end(self) -> None:
        self.complete = True
        if self._waiter is not None:
            self._wake()

    def crowd_out(self) -> None:
        """There is no memory for it."""
        self._memory.refused += 1
        self.fail(BODIES_FULL)

    def fail(self, problem: Problem) -> None:
        """What arrives from now on is dropped; the reader is told."""
        self._problem = self._problem or problem
        self._drop()
        self._wake()

    async def read(self) -> bytes:
        """The whole body. Raises Refusal if it can't be had."""
        if not self.complete and self._problem is None:
            self._asked = True
            if self._expects and self.size == 0:
                self._expects = False
                self._source.send_continue()
            self._source.resume_reading()
            self._waiter = asyncio.get_running_loop().create_future()
            await self._waiter
        return self.whole()

    def whole(self) -> bytes:
        """The body, once it is complete. Raises Refusal if it can't be had."""
        if self._problem is not None:
            raise Refusal(self._problem)
        return self._parts[0] if len(self._parts) == 1 else b"".join(self._parts)

    def close(self) -> None:
        """Give the memory back, and take in nothing more; idempotent."""
        self._closed = True
        self._drop()

    def _drop(self) -> None:
        self._memory.held -= self.size
        self.size = 0
        self._parts = []

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)
