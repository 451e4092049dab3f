"""How busy a model on Triton is: its page of metrics, read again and again, apart from all calls."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from urllib.parse import urlsplit

from engines.api import Capacity, Failed, Load, Surroundings
from engines.http import Pool
from engines.load import LoadWatch
from engines.triton.metrics import read

EVERY = 0.5
"""Seconds between two readings: half of what one stays true for."""


class TritonLoad:
    """Reads `url` until it is closed. `model` tells which one generates, of an ensemble the step that does: it is known
    only once the server has answered.
    """

    def __init__(self, url: str, model: Callable[[], str], surroundings: Surroundings) -> None:
        path = urlsplit(url).path
        self._path = path
        self._model = model
        self._pool = Pool(url.removesuffix(path), surroundings, connections=2)
        clock = asyncio.get_running_loop().time
        self._watch = LoadWatch(self._read, clock, name=url, every=EVERY)

    def __repr__(self) -> str:
        return f"<TritonLoad {self._watch!r}>"

    @property
    def load(self) -> Load | None:
        """None where nothing has been said within the last second."""
        return self._watch.load

    @property
    def capacity(self) -> Capacity | None:
        """What TensorRT-LLM takes at a time, once it has been said."""
        return self._watch.capacity

    async def aclose(self) -> None:
        await self._watch.aclose()
        await self._pool.aclose()

    async def _read(self) -> Load | None:
        status, page = await self._pool.fetch("GET", self._path)
        if status != 200:
            raise Failed(f"The metrics were answered with {status}.")
        return read(page, self._model())
