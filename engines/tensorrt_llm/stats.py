"""How busy the LLM says it is: the only reader of its iterations, each of which is told once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec

from engines.api import Load
from engines.load import STALE
from engines.tensorrt_llm.package import Model
from engines.trtllm_serve import Iteration

PAUSE = 1.0
"""Seconds before the next try where there are no iterations to be had."""


class Stats:
    """The last iteration, for as long as it is fresh. `clock` is in seconds."""

    def __init__(self, model: Model, clock: Callable[[], float]) -> None:
        self._model = model
        self._clock = clock
        self._last = Load()
        self._at = 0.0

    def __repr__(self) -> str:
        return f"<Stats {self._last}>"

    def load(self, *, at_work: int) -> Load:
        """`at_work` are the calls here: nobody else asks this LLM, so without any it is idle, and says nothing."""
        takes = self._last.capacity
        if not at_work:
            return Load(running=0, waiting=0, capacity=takes)
        return self._last if self._clock() - self._at <= STALE else Load(capacity=takes)

    async def run(self) -> None:
        """Until it is cancelled. An LLM that tells nothing is asked again and again: it tells more when it works."""
        while True:
            try:
                async for told in self._model.stats():
                    self._last, self._at = msgspec.convert(told, Iteration).load(), self._clock()
            except Exception:  # noqa: BLE001  # what is unknown is unknown; generating goes on
                self._last = Load()
            await asyncio.sleep(PAUSE)
