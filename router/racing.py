"""Two calls for one request, on a replica each: the first content counts, and of the other call nothing is left."""

from __future__ import annotations

import asyncio
import logging
from types import TracebackType
from typing import Final, Literal, NamedTuple, Self

from msgspec.structs import replace

from engines.api import Call, EngineError, Reply
from router.api import Affinity, Notes, Replica
from router.pool import Pool
from router.quarantine import Quarantine

_logger = logging.getLogger("snowshed")

MARK: Final = "-hedge"
"""Ends a hedge's id, so that its server tells it from the call that it stands in for."""

HedgeOutcome = Literal["won", "lost", "failed", "cancelled", "withheld"]
"""Its content came first, or the other's; it failed; the request ended before; or silence lasted and none was sent."""
HEDGE_OUTCOMES: Final[tuple[HedgeOutcome, ...]] = ("won", "lost", "failed", "cancelled", "withheld")


class Lane:
    """A hedge under way, on a replica that is charged. Its copy of the request's call is its own to write to."""

    __slots__ = ("call", "heard", "replica", "task", "won")

    def __init__(self, replica: Replica, call: Call) -> None:
        self.replica = replica
        self.call = replace(call, id=call.id + MARK)
        self.task: asyncio.Task[Reply] = asyncio.get_running_loop().create_task(replica.engine.call(self.call))
        self.heard = False  # whether its end has been taken notice of
        self.won = False

    def __repr__(self) -> str:
        return f"<Lane {self.call.id} on {self.replica.name}{' done' if self.task.done() else ''}>"

    @property
    def error(self) -> BaseException | None:
        """Why it has no reply; None if it has, or goes on."""
        if not self.task.done():
            return None
        return asyncio.CancelledError() if self.task.cancelled() else self.task.exception()


class Won(NamedTuple):
    """A reply with content, and the replica that stays charged for it."""

    replica: Replica
    reply: Reply


class Race:
    """The calls of one request: the first one in the request's own task, and the hedge, if one is started, in another.

    So who answers in time costs a timer and no task. The hedge's content interrupts the first call as `asyncio.timeout`
    would. Leaving the block undoes a hedge that has not won.
    """

    def __init__(self, pool: Pool, quarantine: Quarantine, call: Call, affinity: Affinity, notes: Notes) -> None:
        self.pool = pool
        self.affinity = affinity
        self.notes = notes
        self.asked: list[Replica] = []
        """Replicas that have failed it, in the order in which they did."""
        self.errors: list[EngineError] = []
        self.hedge: Lane | None = None
        self.outcome: HedgeOutcome = "cancelled"
        """Of the hedge, if there was one."""
        self._quarantine = quarantine
        self._call = call
        self._waiting: asyncio.Task[object] | None = None  # for the first one's content
        self._interrupted = False
        self._over = False

    def __repr__(self) -> str:
        return f"<Race {'over' if self._over else 'on'}, hedge {self.hedge!r}, {len(self.asked)} have failed>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        self._over = True
        lane = self.hedge
        if lane is None or lane.won:
            return
        error = lane.error
        if error is not None:
            self.outcome = "failed"
        if lane.heard:
            _close(lane.task)
        else:  # then that is done when it is
            lane.task.cancel()
        # Last, as whoever gets the place comes at once. Too late is not wrong.
        self.pool.left(lane.replica, self.notes, error or asyncio.CancelledError())

    async def run(self, first: Replica) -> Won | None:
        """Whose content came first; None if all have failed. Raises what is no failure of a replica.

        The request has its place on the first one.
        """
        self.notes.replica = first.name
        self.notes.attempts += 1
        try:
            reply = await self._first(first)
        except EngineError as error:
            self._failed(first, error)
            if not error.retry_safe:
                raise
            return await self._second()
        except BaseException as left:
            self.pool.left(first, self.notes, left)
            raise
        if reply is None:
            self.pool.left(first, self.notes, asyncio.CancelledError())
            return await self._second()
        self.outcome = "lost"
        return self._won(first, reply)

    def start(self, replica: Replica) -> None:
        """The hedge."""
        self.notes.attempts += 1
        self.pool.sent(replica, self.notes)
        self.hedge = Lane(replica, self._call)
        self.hedge.task.add_done_callback(self._hear)

    async def _first(self, replica: Replica) -> Reply | None:
        """None if the hedge's content is here before its own."""
        task = asyncio.current_task()
        assert task is not None
        interrupted = task.cancelling() + 1  # by us alone; more: the caller has left, too
        self._waiting = task
        try:
            return await replica.engine.call(self._call)
        except asyncio.CancelledError:
            if not self._interrupted or task.cancelling() > interrupted:
                raise
            return None
        finally:
            self._waiting = None
            if self._interrupted:
                task.uncancel()

    async def _second(self) -> Won | None:
        """What the hedge brings, where the first call has brought nothing."""
        lane = self.hedge
        if lane is None:
            return None
        if not lane.heard:
            await asyncio.wait((lane.task,))
        error = lane.error
        if error is None:
            lane.won = True
            self.outcome = "won"
            self.notes.replica = lane.replica.name
            return self._won(lane.replica, lane.task.result())
        if isinstance(error, EngineError) and error.retry_safe:
            return None
        raise error

    def _won(self, replica: Replica, reply: Reply) -> Won:
        self.pool.answered(replica, self.notes)
        self._call.spent = None  # by whom the other was: this reply tells its own
        return Won(replica, reply)

    def _hear(self, task: asyncio.Task[Reply]) -> None:
        """The hedge's end. Whatever it alone runs into, its request is no worse off than without it."""
        lane = self.hedge
        assert lane is not None
        if self._over:
            _close(task)
            return
        lane.heard = True
        error = lane.error
        if isinstance(error, EngineError):
            self._failed(lane.replica, error)
        elif error is not None:
            self.pool.left(lane.replica, self.notes, error)
            if not isinstance(error, asyncio.CancelledError):
                _logger.error("hedge broke", extra={"request": self._call.id}, exc_info=error)
        elif self._waiting is not None:
            self._interrupted = True
            self._waiting.cancel()

    def _failed(self, replica: Replica, error: EngineError) -> None:
        self.pool.left(replica, self.notes, error)
        self.notes.failed = (*self.notes.failed, (replica.name, type(error)))
        if error.died:
            self._quarantine.died(self._call, replica.name)
        if error.retry_safe:
            self.asked.append(replica)
            self.errors.append(error)


def _close(task: asyncio.Task[Reply]) -> None:
    """Nobody wants its reply any more."""
    if task.cancelled() or task.exception() is not None:
        return
    try:
        task.result().__exit__(None, None, None)
    except Exception:
        _logger.exception("reply not closed")
