"""Ask a replica; before the first content byte, fail over to the next one that has not been asked."""

from __future__ import annotations

from types import TracebackType
from typing import Protocol

from engines.api import Call, EngineError, Overloaded, Reply, TimedOut
from router.api import Model, NoReplica, Replica
from router.quarantine import DEATHS, Quarantine

SILENT_WAITS = 2
"""Each one more lets the client wait as long again, and has the prompt prefilled once more."""


class Attempts(Protocol):
    """Where the dispatcher notes what it did."""

    attempts: int
    replica: str


class Dispatched:
    """A reply together with its place on the replica; leaving the block gives up both, once and at once."""

    __slots__ = ("_call", "_held", "_quarantine", "replica", "reply")

    def __init__(self, reply: Reply, replica: Replica, call: Call, quarantine: Quarantine) -> None:
        self.reply = reply
        self.replica = replica
        self._call = call
        self._quarantine = quarantine
        self._held = True

    def __repr__(self) -> str:
        return f"<Dispatched {self.reply!r} on {self.replica!r}>"

    def __enter__(self) -> Reply:
        return self.reply.__enter__()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.reply.__exit__(kind, exc, tb)
        finally:
            if self._held:
                self._held = False
                self.replica.in_flight -= 1
                if exc is None:
                    self._quarantine.survived(self._call)
                elif isinstance(exc, EngineError):
                    self.replica.failures[type(exc)] += 1
                    if exc.died:
                        self._quarantine.died(self._call, self.replica.name)


class Dispatcher:
    """Calls engines. At most `attempts` per request: more would multiply the load on those that still stand."""

    def __init__(self, quarantine: Quarantine, attempts: int = 3) -> None:
        self._quarantine = quarantine
        self._attempts = attempts

    def __repr__(self) -> str:
        return f"<Dispatcher up to {self._attempts} attempts>"

    async def dispatch(self, model: Model, call: Call, notes: Attempts) -> Dispatched:
        """A reply whose first content is here. Raises NoReplica, Quarantined, or the EngineError that decided."""
        self._quarantine.check(call)
        left = model.replicas
        errors: list[EngineError] = []
        while left and (not errors or self._may_try_again(errors)):
            replica = model.policy.pick(left)
            notes.attempts += 1
            notes.replica = replica.name
            replica.in_flight += 1
            replica.calls += 1
            try:
                reply = await replica.engine.call(call)
            except EngineError as error:
                replica.in_flight -= 1
                replica.failures[type(error)] += 1
                if not error.retry_safe:
                    raise
                errors.append(error)
                if error.died:
                    self._quarantine.died(call, replica.name)
                left = [other for other in left if other is not replica]
            except BaseException:
                replica.in_flight -= 1
                raise
            else:
                call.spent = None  # of an attempt before: this reply tells its own
                return Dispatched(reply, replica, call, self._quarantine)
        if not errors:
            raise NoReplica
        raise _most_telling(errors)

    def _may_try_again(self, errors: list[EngineError]) -> bool:
        last = errors[-1]
        if isinstance(last, TimedOut) and last.phase == "total":
            return False  # nobody waits any more
        timed_out = sum(isinstance(error, TimedOut) and error.phase != "connect" for error in errors)
        died = sum(error.died for error in errors)
        return len(errors) < self._attempts and timed_out < SILENT_WAITS and died < DEATHS


def _most_telling(errors: list[EngineError]) -> EngineError:
    """Overload tells the client when to come back, so it wins; else the last error is as good as any."""
    return next((error for error in errors if isinstance(error, Overloaded)), errors[-1])
