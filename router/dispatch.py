"""Ask a replica; before the first content byte, fail over to the next one that has not been asked."""

from __future__ import annotations

from types import TracebackType
from typing import NoReturn

import msgspec

from engines.api import Call, EngineError, Overloaded, Reply, TimedOut
from router.api import Affinity, NoReplica, Notes, Replica
from router.hedging import Hedge
from router.model import Version
from router.oversize import refuse_oversize
from router.pool import Pool
from router.quarantine import DEATHS, Quarantine
from router.racing import Race

SILENT_WAITS = 2
"""Each one more lets the client wait as long again, and has the prompt prefilled once more."""


class Dispatched(msgspec.Struct, gc=False):
    """A reply together with its place on the replica; leaving the block gives up both, once and at once."""

    reply: Reply
    replica: Replica
    _pool: Pool
    _call: Call
    _notes: Notes
    _quarantine: Quarantine

    def __repr__(self) -> str:
        return f"<Dispatched {self.reply!r} on {self.replica!r}>"

    def __enter__(self) -> Reply:
        try:
            return self.reply.__enter__()
        except BaseException as error:  # then nobody leaves the block
            self.__exit__(type(error), error, error.__traceback__)
            raise

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.reply.__exit__(kind, exc, tb)
        finally:
            self._pool.left(self.replica, self._notes, exc)
            if exc is None:
                self._quarantine.survived(self._call)
            elif isinstance(exc, EngineError) and exc.died:
                self._quarantine.died(self._call, self.replica.name)


class Dispatcher:
    """Calls engines. At most `attempts` per request: more would multiply the load on those that still stand."""

    def __init__(self, quarantine: Quarantine, attempts: int = 3) -> None:
        self._quarantine = quarantine
        self._attempts = attempts

    def __repr__(self) -> str:
        return f"<Dispatcher up to {self._attempts} attempts, {self._quarantine!r}>"

    async def dispatch(
        self, version: Version, call: Call, affinity: Affinity, notes: Notes, hedge: Hedge | None = None
    ) -> Dispatched:
        """A reply whose first content is here, once there is a place for it.

        Raises Shed, NoReplica, Quarantined, or the EngineError that decided; Rejected for what no replica can hold.
        """
        quarantine, pool, admission = self._quarantine, version.pool, version.admission
        quarantine.check(call)
        refuse_oversize(call, notes, pool.largest_prompt)
        replica = admission.enter(notes, affinity) or await admission.turn(notes, affinity, call.deadline)
        pool.retries.admitted(notes.tokens)
        asked: list[Replica] = []
        errors: list[EngineError] = []
        if hedge is not None:
            race = Race(pool, quarantine, call, affinity, notes)
            if (won := await hedge.run(race, replica)) is not None:
                return Dispatched(won.reply, won.replica, pool, call, notes, quarantine)
            asked, errors = race.asked, race.errors
            replica = self._move(pool, affinity, notes, asked, errors)
        while True:
            notes.attempts += 1
            notes.replica = replica.name
            try:
                reply = await replica.engine.call(call)
            except EngineError as error:
                pool.left(replica, notes, error)
                notes.failed = (*notes.failed, (replica.name, type(error)))
                if error.died:
                    quarantine.died(call, replica.name)
                if not error.retry_safe:
                    raise
                asked.append(replica)
                errors.append(error)
                replica = self._move(pool, affinity, notes, asked, errors)
            except BaseException as left:
                pool.left(replica, notes, left)
                raise
            else:
                pool.answered(replica, notes)
                call.spent = None  # of an attempt before: this reply tells its own
                return Dispatched(reply, replica, pool, call, notes, quarantine)

    def _move(
        self, pool: Pool, affinity: Affinity, notes: Notes, asked: list[Replica], errors: list[EngineError]
    ) -> Replica:
        """A place on another one than those that have failed, without waiting again: with room, if there is any.

        Raises the most telling of their errors if there is no other.
        """
        if not self._makes_sense(errors):
            _give_up(pool, errors)
        try:
            replica = pool.place(notes, affinity, asked) or pool.pick(affinity, asked)
        except NoReplica:
            _give_up(pool, errors)
        if pool.saturated or not pool.retries.may_retry(notes.tokens):
            _give_up(pool, errors)
        pool.sent(replica, notes)
        return replica

    def _makes_sense(self, errors: list[EngineError]) -> bool:
        last = errors[-1]
        if isinstance(last, TimedOut) and last.phase == "total":
            return False  # nobody waits any more
        timed_out = sum(isinstance(error, TimedOut) and error.phase != "connect" for error in errors)
        return len(errors) < self._attempts and timed_out < SILENT_WAITS and _deaths(errors) < DEATHS


def _give_up(pool: Pool, errors: list[EngineError]) -> NoReturn:
    """Overload tells the client when to come back, so it wins; else the last error is as good as any.

    Where others were asked in vain, or all are in trouble, a client that tries again would only add to it.
    """
    error = next((error for error in errors if isinstance(error, Overloaded)), errors[-1])
    error.spent = len(errors) > 1 or pool.panicking
    error.poison = _deaths(errors) >= DEATHS
    raise error


def _deaths(errors: list[EngineError]) -> int:
    return sum(error.died for error in errors)
