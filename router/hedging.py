"""A second replica is asked the same while the first one is silent: the first content counts, the other call is undone.

A race costs two tasks and a timer, so it is run only for requests that may be hedged.
"""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from types import TracebackType
from typing import Final, Literal, Self

from engines.api import Call, EngineError, Reply
from router.api import NoReplica, Notes, Replica, Work
from router.pool import Pool
from router.quarantine import Quarantine
from router.retries import RetryBudget

_logger = logging.getLogger("snowshed")

SHARE, FLOOR = 0.02, 1
"""Of the work that may be hedged, and requests besides, per window of the budget."""
MARK: Final = "-hedge"
"""Ends a hedge's id, so that its server tells it from the call that it stands in for."""

Leave = Callable[[BaseException | None], None]
"""Gives up a place on a replica, told how it ended."""
HedgeOutcome = Literal["won", "lost", "failed", "cancelled", "withheld"]
"""Its content came first, or the other's; it failed; the request ended before; or silence lasted and none was sent."""
HEDGE_OUTCOMES: Final[tuple[HedgeOutcome, ...]] = ("won", "lost", "failed", "cancelled", "withheld")


@dataclass(slots=True)
class HedgeAccount:
    """What one model's hedges may still take, and what came of them; it outlives changes of the configuration."""

    budget: RetryBudget
    outcomes: Counter[HedgeOutcome] = field(default_factory=Counter)


class Lane:
    """One call of a race. Its copy of the request's call is its own to write to."""

    __slots__ = ("call", "failed", "is_hedge", "replica", "task")

    def __init__(self, replica: Replica, call: Call, *, is_hedge: bool) -> None:
        self.replica = replica
        self.call = replace(call, id=call.id + MARK if is_hedge else call.id)
        self.is_hedge = is_hedge
        self.failed = False
        self.task: asyncio.Task[Reply] = asyncio.get_running_loop().create_task(replica.engine.call(self.call))

    def __repr__(self) -> str:
        return f"<Lane {self.call.id} on {self.replica.name}{' done' if self.task.done() else ''}>"

    @property
    def error(self) -> BaseException | None:
        """Why a call that is done has no reply; None if it has."""
        return asyncio.CancelledError() if self.task.cancelled() else self.task.exception()


class Race:
    """The calls of one request, each on a replica that is charged; leaving the block undoes all but the winner's."""

    def __init__(self, pool: Pool, quarantine: Quarantine, call: Call, work: Work, notes: Notes) -> None:
        self.pool = pool
        self.work = work
        self.asked: list[Replica] = []
        """Replicas that have failed it, in the order in which they did."""
        self.errors: list[EngineError] = []
        self.running: list[Lane] = []
        """The first one's lane comes first, as long as it runs."""
        self._quarantine = quarantine
        self._call = call
        self._notes = notes

    def __repr__(self) -> str:
        return f"<Race {self.running!r}, {len(self.asked)} have failed>"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        for lane in self.running:
            done = lane.task.done()
            error = (lane.error if done else None) or asyncio.CancelledError()  # too late is not wrong
            self.pool.left(lane.replica, self.work, self._notes, error)
            if not done:
                lane.task.cancel()
            lane.task.add_done_callback(_close)

    def start(self, replica: Replica, *, is_hedge: bool = False) -> Lane:
        self._notes.attempts += 1
        self._notes.replica = replica.name
        self.pool.sent(replica, self.work, self._notes)
        lane = Lane(replica, self._call, is_hedge=is_hedge)
        self.running.append(lane)
        return lane

    async def wait(self, seconds: float | None = None) -> None:
        """Until one of the calls is done. One that is cut off meanwhile still tells what it has used."""
        tasks = [lane.task for lane in self.running]
        try:
            await asyncio.wait(tasks, timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        except asyncio.CancelledError:
            for task in tasks:
                task.cancel()
            await asyncio.wait(tasks)
            self._note_spent(self.running[0])
            raise

    def winner(self) -> Lane | None:
        """The one with content, the first one's if both have. Raises what is no failure of a replica."""
        done = [lane for lane in self.running if lane.task.done()]
        for lane in done:
            if lane.error is None:
                self.running.remove(lane)
                self.pool.answered(lane.replica, self.work, self._notes)
                self._notes.replica = lane.replica.name
                self._call.spent = None  # its reply tells its own
                return lane
        for lane in done:
            self._failed(lane, lane.error or AssertionError())
        return None

    def leave(self, won: Lane) -> Leave:
        return partial(self.pool.left, won.replica, self.work, self._notes)

    def _failed(self, lane: Lane, error: BaseException) -> None:
        self.running.remove(lane)
        lane.failed = True
        self.pool.left(lane.replica, self.work, self._notes, error)
        self._note_spent(lane)
        if isinstance(error, EngineError):
            self._notes.failed = (*self._notes.failed, (lane.replica.name, type(error)))
            if error.died:
                self._quarantine.died(self._call, lane.replica.name)
            if error.retry_safe:
                self.asked.append(lane.replica)
                self.errors.append(error)
                return
        if not (lane.is_hedge and self.running):
            raise error
        # Whatever a hedge alone runs into, its request is no worse off than without it.
        if not isinstance(error, (EngineError, asyncio.CancelledError)):
            _logger.error("hedge broke", extra={"request": self._call.id}, exc_info=error)

    def _note_spent(self, lane: Lane) -> None:
        if lane.call.spent is not None:
            self._call.spent = lane.call.spent


class Hedge:
    """How one model's requests are hedged: after so many seconds of silence."""

    def __init__(self, after: float, account: HedgeAccount) -> None:
        self.after = after
        self._account = account

    def __repr__(self) -> str:
        return f"<Hedge after {self.after:g} s, {self._account!r}>"

    def suits(self, priority: int, call: Call) -> bool:
        """Whether such a call of a caller of that priority is to be hedged.

        A whole answer is silent until its end: of a long one that would say nothing about its replica.
        """
        return priority > 0 and (call.stream or call.kind == "embedding")

    async def run(self, race: Race, replica: Replica) -> Lane | None:
        """The lane whose content came first, still charged; None if all have failed, as the race then tells.

        Raises what is no failure of a replica: the caller's mistake.
        """
        self._account.budget.admitted(race.work.tokens)
        hedge: Lane | None = None
        won: Lane | None = None
        try:
            with race:
                race.start(replica)
                await race.wait(self.after)
                if not race.running[0].task.done():
                    hedge = self._start(race, replica)
                while (won := race.winner()) is None and race.running:
                    await race.wait()
        finally:
            if hedge is not None:
                self._account.outcomes[_outcome(hedge, won)] += 1
        return won

    def _start(self, race: Race, first: Replica) -> Lane | None:
        try:
            other = race.pool.pick(race.work, (first,))
        except NoReplica:
            other = None
        if other is None or race.pool.saturated or not self._account.budget.may_retry(race.work.tokens):
            self._account.outcomes["withheld"] += 1
            return None
        return race.start(other, is_hedge=True)


def _outcome(hedge: Lane, won: Lane | None) -> HedgeOutcome:
    if won is None:
        return "failed" if hedge.failed else "cancelled"
    return "won" if won is hedge else "failed" if hedge.failed else "lost"


def _close(task: asyncio.Task[Reply]) -> None:
    """Nobody wants its reply any more."""
    if task.cancelled() or task.exception() is not None:
        return
    try:
        task.result().__exit__(None, None, None)
    except Exception:
        _logger.exception("reply not closed")
