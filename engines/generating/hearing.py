"""One call being listened to: from its connection through a generation to a sink, under the timers of its silences."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import msgspec

from engines.api import EngineError, Failed, Kind, Phase, Sink, TimedOut, Timers
from engines.generating.cancelling import LINGER, Cancelling
from engines.generating.errors import refused
from engines.grpc.api import Rpc, RpcError
from engines.sweeper import NEVER, TICK, Sweeper


@dataclass(slots=True, frozen=True)
class Surveillance:
    """What bounds the waits of every call of an engine, and who ends the calls that are left."""

    sweeper: Sweeper
    timers: Timers
    cancelling: Cancelling


class Opened(msgspec.Struct, frozen=True):
    """A call that was just opened: `request` is its id at the server, `seconds` how long it may take in all."""

    rpc: Rpc
    request: str
    seconds: float


class Generation(Protocol):
    """What is heard: a text, or a vector."""

    kind: Kind
    done: bool
    completion: int
    counted: bool
    prompt: int | None

    @property
    def stopped(self) -> bool:
        """Whether it is done while the server still generates."""

    def hear(self, message: bytes) -> bytes:
        """What the client gets of it. Raises EngineError."""
        ...


class Hearing:
    """Raises EngineError as if nothing had been said yet: what has, its reply knows.

    `due` is when its present silence has lasted too long (see `engines.sweeper`). `finale` gives the bytes that follow
    the text's own end. `close` cancels a call that has not ended; it must be called.
    """

    __slots__ = (
        "_closed", "_error", "_failed", "_full", "_hear", "_opened", "_over", "_patience", "_rpc", "_surveillance",
        "_sweeper", "_take", "due", "finale", "generation",
    )  # fmt: skip

    def __init__(self, opened: Opened, generation: Generation, surveillance: Surveillance) -> None:
        self._opened = opened
        self._rpc = opened.rpc
        self._surveillance = surveillance
        self._sweeper = surveillance.sweeper
        self._patience = TICK + surveillance.timers.inter_token
        self._hear = generation.hear
        self._take: Callable[[bytes], bool] = _all
        self._error: EngineError | None = None
        self._full = False
        self._failed = False  # whether what came was an error, or nonsense
        self._over = False  # whether the call has ended by itself
        self._closed = False
        self.finale: Callable[[], bytes] = bytes
        self.generation = generation
        self.due = self._sweeper.soon(surveillance.timers.first_token)
        self._sweeper.add(self)

    def __repr__(self) -> str:
        return f"<Hearing {'closed' if self._closed else 'over' if self._over else 'open'}, {self.generation!r}>"

    def expire(self, _now: float) -> None:
        timers = self._surveillance.timers
        phase: Phase = "inter_token" if self.generation.completion else "first_token"
        self._error = TimedOut(phase, timers.inter_token if self.generation.completion else timers.first_token)
        self.due = NEVER
        self._rpc.cancel()  # wakes the reader

    async def read(self) -> bytes:
        """What the next messages say; b"" once everything has been said and the call is over."""
        out = b""
        while not out and not self.generation.done:
            self._wait()
            try:
                message = await self._rpc.read()
            except RpcError as error:
                raise self._why(error) from None
            if message is None:
                self._over = True
                raise Failed("The model server ended its stream early.")
            out = self._say(message)
        self.due = NEVER  # until somebody waits again
        if not out:
            await self._let_end()
        return out

    async def forward(self, sink: Sink) -> None:
        """All that `read` would give goes to the sink as it comes; wakes for the end, and to wait for the sink."""
        self._take = sink.take
        while not self.generation.done:
            self._wait()
            await self._rpc.flow(self._push)
            if self._error is not None:
                raise self._error
            if self._full:
                self._full = False
                self.due = NEVER
                await sink.drain()
            elif not self.generation.done:
                await self.read()  # tells why the call has ended
        await self._let_end()

    def close(self) -> None:
        """Never waits; may be called again."""
        if not self._closed:
            self._closed = True
            self._sweeper.discard(self)
            self._take, self.finale = _all, bytes  # no ring of references is left for the collector
            if self._over:
                return
            cancelling, generation = self._surveillance.cancelling, self.generation
            whole = generation.done and not generation.stopped and self._error is None  # its end comes by itself
            (cancelling.let_end if self._failed or whole else cancelling.let_go)(self._rpc, self._opened.request)

    def _push(self, message: bytes) -> bool:
        take = self._take  # it may be let go within the next line
        try:
            out = self._say(message)
        except EngineError as error:
            self._error = error
            return False
        if out and not take(out):
            self._full = True
            return False
        self.due = self._sweeper.now + self._patience
        return not self.generation.done

    def _say(self, message: bytes) -> bytes:
        try:
            out = self._hear(message)
        except EngineError:
            self._failed = True
            raise
        if self.generation.done:
            out += self.finale()
            if self.generation.stopped:
                self.close()  # the server would go on
        return out

    def _wait(self) -> None:
        """Silence counts from now on."""
        if self.generation.completion:
            self.due = self._sweeper.now + self._patience
        elif self.due == NEVER:
            self.due = self._sweeper.soon(self._surveillance.timers.first_token)

    def _why(self, error: RpcError) -> EngineError:
        if self._error is not None:  # a timer has cancelled it
            return self._error
        self._over = True
        return refused(error, self.generation.kind, self._opened.seconds)

    async def _let_end(self) -> None:
        """Calls that end by themselves spare the server a cancellation."""
        if self._over or self._closed:
            return
        self.due = self._sweeper.soon(LINGER)
        try:
            while await self._rpc.read() is not None:
                pass
            self._over = True
        except RpcError:
            self._over = self._error is None  # else the timer has cancelled it
        self.due = NEVER


def _all(_data: bytes) -> bool:
    return True
