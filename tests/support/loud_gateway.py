"""`python -m tests.support.loud_gateway serve --config FILE`: a gateway at log level debug, with a broken engine."""

from __future__ import annotations

import sys
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import ClassVar, Self, cast

from pydantic import BaseModel

from engines import ENGINES
from engines.api import LARGE_GPU, Call, EngineFactory, Health, Prices, Reply, Surroundings, Usage


class NoOptions(BaseModel):
    """A bug needs no options."""


class BrokenEngine:
    """Raises what no engine should, and puts what the caller wrote into the text, as libraries do."""

    Options: ClassVar[type[BaseModel]] = NoOptions
    runs_here: ClassVar[bool] = False
    patience: ClassVar[float | None] = None
    prices: ClassVar[Prices] = LARGE_GPU

    def __init__(self, _options: NoOptions, _surroundings: Surroundings) -> None:
        pass

    async def start(self) -> None:
        pass

    async def call(self, call: Call) -> Reply:
        if call.stream:
            return BrokenReply(call)
        raise RuntimeError(call.body().decode())

    async def probe(self) -> Health:
        return Health(ready=True)

    async def aclose(self) -> None:
        pass


class BrokenReply:
    """Breaks after its first chunk."""

    headers: Mapping[bytes, bytes] = {}
    usage: Usage | None = None

    def __init__(self, call: Call) -> None:
        self._call = call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        yield b'data: {"choices":[]}\n\n'
        raise ValueError(self._call.body().decode())

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        pass


def main(path: str) -> None:
    engine: EngineFactory = BrokenEngine
    cast("dict[str, EngineFactory]", ENGINES)["broken"] = engine
    from gateway.config import load  # reads the engines when it is imported
    from gateway.logs import configure
    from gateway.server import Server
    from gateway.wiring import build

    gateway = build(load(Path(path)), Path(path).parent)
    configure("debug", sys.stderr)
    Server(gateway).run()


if __name__ == "__main__":
    main(sys.argv[-1])
