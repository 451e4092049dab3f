"""Copies of requests for a version whose answers nobody sees: sampled, bounded, dropped first, and billed to nobody.

A copy is a task beside its request. It asks one replica of the shadow version once, reads the answer to its end, and
tells how it compares; whatever becomes of it, its request does not notice.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Literal, Protocol

from engines.api import Call, EngineError, Reply, pass_on
from router.api import Affinity, NoReplica, Notes, Rank
from router.comparing import Ear, HeardReply, Side, side
from router.dispatch import Dispatched
from router.model import Version

_logger = logging.getLogger("snowshed")

MARK: Final = "-shadow"
"""Ends a copy's id."""

ShadowOutcome = Literal["answered", "failed", "dropped", "cancelled"]
"""It was read to its end; it failed, or took too long; there was no place for it; its request broke off."""
SHADOW_OUTCOMES: Final[tuple[ShadowOutcome, ...]] = ("answered", "failed", "dropped", "cancelled")


class _Full(Exception):
    """The shadow version has other things to do."""


class Scores(Protocol):
    """Counts what becomes of copies. It outlives changes of the configuration, as do copies under way."""

    running: set[Copy]

    def ended(self, outcome: ShadowOutcome) -> None: ...
    def compare(self, primary: Side, shadow: Side) -> None:
        """Both have answered."""


@dataclass(slots=True, frozen=True)
class Shadow:
    """How one model's requests are copied: a share of them to this version, so many at a time. `clock`: seconds."""

    version: Version
    share: float
    concurrency: int
    scores: Scores
    ear: Callable[[], Ear] = field(repr=False)
    draw: Callable[[], float] = field(repr=False)
    clock: Callable[[], float] = field(repr=False)

    def wants(self, version: Version) -> bool:
        """Whether a request for that version is to be copied; where there is no place for one more, it is not.

        Places are not waited for: copies would only get old there, and take memory while everything is busy.
        """
        if version is self.version or self.draw() >= self.share:
            return False
        pool = self.version.pool
        if len(self.scores.running) >= self.concurrency or pool.freed is not None or pool.saturated:
            self.scores.ended("dropped")
            return False
        return True

    def copy(self, call: Call, affinity: Affinity, original: Notes) -> Copy:
        """Begins once the request itself waits for something. `call` is as the shadow version's replicas want it."""
        copy = Copy(self, call, affinity, original)
        self.scores.running.add(copy)
        return copy


class Copy:
    """One copy on its way: the router's notes on it, and the sink of its answer."""

    paused = False
    tenant = ""
    weight = 1
    rank: Rank = 2
    queued = first_at = 0.0
    prompt_tokens = completion_tokens = 0
    usage_exact = False

    def __init__(self, shadow: Shadow, call: Call, affinity: Affinity, original: Notes) -> None:
        self.attempts = 1
        self.replica = ""
        self.whole = call.whole
        self.body_bytes, self.text_bytes = original.body_bytes, original.text_bytes
        self.answers, self.output_cap = original.answers, original.output_cap
        self.prompt, self.tokens, self.work = original.prompt, original.tokens, original.work
        self.last_at = 0.0
        self.failed: Sequence[tuple[str, type[EngineError]]] = ()
        self._shadow = shadow
        self._call = call
        self._affinity = affinity
        self._ear = shadow.ear()
        self._primary: Side | None = None
        self._own: Side | None = None
        self._task = asyncio.get_running_loop().create_task(self._run())
        self._task.add_done_callback(self._ended)

    def __repr__(self) -> str:
        return f"<Copy {self._call.id} on {self.replica or 'no replica yet'}{', answered' if self._own else ''}>"

    async def beside(self, dispatching: Awaitable[Dispatched]) -> Shadowed:
        """The request itself; if it is refused or fails, there is nothing to compare with, and the copy ends, too."""
        sent = self._shadow.clock()
        try:
            dispatched = await dispatching
        except BaseException:
            self.cancel()
            raise
        return Shadowed(dispatched, self, self._shadow.clock() - sent, self._shadow.ear())

    def cancel(self) -> None:
        self._task.cancel()

    def compare(self, primary: Side) -> None:
        """The request has had its whole answer."""
        self._primary = primary
        self._compare()

    # engines.api.Sink

    def take(self, data: bytes) -> bool:
        self.last_at = self._shadow.clock()
        self._ear.hear(data)
        return True

    async def drain(self) -> None:
        """Nothing is ever full."""

    async def _run(self) -> None:
        async with asyncio.timeout_at(self._call.deadline):
            self._own = await self._ask()
        self._compare()

    async def _ask(self) -> Side:
        pool, clock = self._shadow.version.pool, self._shadow.clock
        replica = pool.place(self, self._affinity)
        if replica is None:
            raise _Full
        self.replica = replica.name
        sent = clock()
        pool.sent(replica, self)
        try:
            with await replica.engine.call(self._call) as reply:
                first_content = clock() - sent
                pool.answered(replica, self)
                await pass_on(reply, self)
        except BaseException as error:
            pool.left(replica, self, error)
            raise
        pool.left(replica, self, None)
        return side(first_content, reply, self._ear)

    def _compare(self) -> None:
        if self._primary is not None and self._own is not None:
            self._shadow.scores.compare(self._primary, self._own)

    def _ended(self, task: asyncio.Task[None]) -> None:
        """By whatever: also a task that is cancelled before it began comes here."""
        scores = self._shadow.scores
        scores.running.discard(self)
        error = None if task.cancelled() else task.exception()
        scores.ended(_outcome(task, error))
        if not isinstance(error, (EngineError, NoReplica, TimeoutError, _Full, type(None))):
            _logger.error("shadow broke", extra={"request": self._call.id}, exc_info=error)


def _outcome(task: asyncio.Task[None], error: BaseException | None) -> ShadowOutcome:
    if task.cancelled():
        return "cancelled"
    if isinstance(error, _Full):
        return "dropped"
    return "failed" if error else "answered"


class Shadowed:
    """A dispatched reply with a copy of its request beside it; held like one without, and heard on its way."""

    __slots__ = ("_copy", "_dispatched", "_ear", "_first_content", "_reply")

    def __init__(self, dispatched: Dispatched, copy: Copy, first_content: float, ear: Ear) -> None:
        self._dispatched = dispatched
        self._copy = copy
        self._first_content = first_content
        self._ear = ear

    def __repr__(self) -> str:
        return f"<Shadowed {self._dispatched!r} by {self._copy!r}>"

    def __enter__(self) -> Reply:
        return HeardReply(self._dispatched.__enter__(), self._ear)

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self._dispatched.__exit__(kind, exc, tb)
        finally:
            if exc is None:
                self._copy.compare(side(self._first_content, self._dispatched.reply, self._ear))
            else:
                self._copy.cancel()
