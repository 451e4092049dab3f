"""The running child as the engine has it: its connection, its own word on its health and load, and when it is given up.

A child that does not answer may be busy: it is given up only after a long silence, or when it says itself that it will
never work again.
"""

from __future__ import annotations

from collections.abc import Callable
from time import monotonic
from typing import Self

from engines.api import Capacity, EngineError, Health, Load, Unreachable
from engines.load import LoadWatch, capacity
from engines.sweeper import Sweeper
from engines.tensorrt_llm.client import ChildConnection

EVERY = 0.4
"""Seconds between two questions: less than half of what a load stays true for."""
PATIENCE = 2.0
"""Seconds in which a child that works answers."""
SILENCE = 60.0
"""Seconds without any answer after which a child is ended."""


class ChildReplica:
    """Made by `connect`. `condemn` ends the child, with the reason."""

    def __init__(self, connection: ChildConnection, condemn: Callable[[str], None], *, silence: float) -> None:
        self.connection = connection
        self._condemn = condemn
        self._silence = silence
        self._heard = monotonic()
        self._watch = LoadWatch(self._read, monotonic, name="the TensorRT-LLM model", every=EVERY, pause=EVERY)

    def __repr__(self) -> str:
        return f"<ChildReplica {self.connection!r} {self._watch!r}>"

    @classmethod
    async def connect(
        cls, path: str, sweeper: Sweeper, condemn: Callable[[str], None], *, silence: float = SILENCE
    ) -> Self:
        """Raises Unreachable."""
        try:
            connection = await ChildConnection.connect(path, sweeper)
        except OSError as error:
            raise Unreachable(f"its socket can't be reached: {error.strerror}") from None
        return cls(connection, condemn, silence=silence)

    @property
    def load(self) -> Load | None:
        return None if self.connection.closed else self._watch.load

    @property
    def capacity(self) -> Capacity | None:
        """What it last said that it takes at a time."""
        return self._watch.capacity

    async def health(self) -> Health:
        """Asks it."""
        try:
            state = await self.connection.state(PATIENCE)
        except EngineError as error:
            return Health(ready=False, reason=error.message)
        return Health(state.healthy, "" if state.healthy else "The model has failed and is started again.")

    async def aclose(self) -> None:
        await self._watch.aclose()
        await self.connection.aclose()

    async def _read(self) -> Load | None:
        try:
            state = await self.connection.state(PATIENCE)
        except EngineError:
            if monotonic() - self._heard > self._silence:
                self._condemn(f"it has not answered for {self._silence:g} s")
            raise
        self._heard = monotonic()
        if not state.healthy:
            self._condemn("it says that it has failed")
        return Load(state.running, state.waiting, state.kv_used, capacity(state.requests, state.kv_tokens, 1))
