"""Ask a replica; before the first content byte, fail over to the next one that has not been asked."""

from __future__ import annotations

from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

from engines.api import Call, EngineError, Overloaded, Reply, TimedOut
from router.api import Lease, Model, NoReplica, Replica

SILENT_WAITS = 2


class Attempts(Protocol):
    """Where the dispatcher notes what it did."""

    attempts: int
    replica: str


@dataclass(slots=True)
class Dispatched:
    """A reply together with its place on the replica; leaving the block gives up both, at once."""

    reply: Reply
    lease: Lease

    def __enter__(self) -> Reply:
        return self.reply.__enter__()

    def __exit__(self, kind: type[BaseException] | None, exc: BaseException | None, tb: TracebackType | None) -> None:
        try:
            self.reply.__exit__(kind, exc, tb)
        finally:
            self.lease.release()


class Dispatcher:
    """Calls engines. At most `attempts` per request: more would multiply the load on those that still stand."""

    def __init__(self, attempts: int = 3) -> None:
        self._attempts = attempts

    def __repr__(self) -> str:
        return f"<Dispatcher up to {self._attempts} attempts>"

    async def dispatch(self, model: Model, call: Call, notes: Attempts) -> Dispatched:
        """A reply whose first content is here. Raises NoReplica, or the EngineError that decided."""
        left = list(model.replicas)
        errors: list[EngineError] = []
        while left and (not errors or self._may_try_again(errors)):
            replica = model.policy.pick(left)
            left.remove(replica)
            notes.attempts += 1
            notes.replica = replica.name
            try:
                return await _attempt(replica, call)
            except EngineError as error:
                if not error.retry_safe:
                    raise
                errors.append(error)
        if not errors:
            raise NoReplica
        raise _most_telling(errors)

    def _may_try_again(self, errors: list[EngineError]) -> bool:
        # A second silent wait would double the time that the client waits and prefill the prompt once more.
        timed_out = sum(isinstance(error, TimedOut) and error.phase != "connect" for error in errors)
        return len(errors) < self._attempts and timed_out < SILENT_WAITS


async def _attempt(replica: Replica, call: Call) -> Dispatched:
    lease = replica.lease()
    try:
        return Dispatched(await replica.engine.call(call), lease)
    except BaseException:
        lease.release()
        raise


def _most_telling(errors: list[EngineError]) -> EngineError:
    """Overload tells the client when to come back, so it wins; else the last error is as good as any."""
    return next((error for error in errors if isinstance(error, Overloaded)), errors[-1])
