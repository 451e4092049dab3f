"""Upstreams on a loop of the test's own, whose engines note what is done to them and wait or fail as they are told."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable
from contextlib import asynccontextmanager
from random import Random
from typing import Any

from pydantic import BaseModel

from engines.api import Health, Surroundings, Timers, Unreachable
from engines.sweeper import Sweeper
from gateway.config import Config, ModelSpec, check
from gateway.discovery import Discovery
from gateway.replica_maker import ReplicaMaker
from gateway.snapshots import Pools
from gateway.upstreams import Upstreams
from router.api import Replica
from router.events import ignore
from tests.support.waiting import PATIENCE


class NotingEngine:
    """A replica that lives and dies. `hold` keeps it from having started; `failure` is why it can't.

    `silent`: to probes.
    """

    def __init__(self) -> None:
        self.started = self.closed = 0
        self.hold: asyncio.Event | None = None
        self.failure: Exception | None = None
        self.close_failure: Exception | None = None
        self.silent = False

    async def start(self) -> None:
        if self.hold is not None:
            await self.hold.wait()
        if self.failure is not None:
            raise self.failure
        self.started += 1

    async def call(self, call: object) -> Any:
        raise Unreachable("It takes no calls.")

    async def probe(self) -> Health:
        if self.silent:
            await asyncio.get_running_loop().create_future()
        return Health(ready=True)

    async def aclose(self) -> None:
        self.closed += 1
        if self.close_failure is not None:
            raise self.close_failure


class NotingMaker(ReplicaMaker):
    """`prepared` are the next replicas' engines, by the replica's name."""

    def __init__(self) -> None:
        super().__init__(Surroundings(Sweeper(), Timers()))
        self.prepared: dict[str, NotingEngine] = {}
        self.engines: dict[str, list[NotingEngine]] = {}

    def _make(self, name: str, spec: ModelSpec, options: BaseModel) -> Replica:
        super()._make(name, spec, options)  # for what it finds wrong
        engine = self.prepared.pop(name, None) or NotingEngine()
        self.engines.setdefault(name, []).append(engine)
        return Replica(name, engine)


class Names:
    """A resolver: what it answers by host, a failure or addresses, and how often it was asked."""

    def __init__(self, **answers: Iterable[str] | Exception) -> None:
        self.answers: dict[str, Iterable[str] | Exception] = dict(answers)
        self.asked: list[str] = []

    async def __call__(self, host: str) -> Iterable[str]:
        self.asked.append(host)
        answer = self.answers.get(host, ())
        if isinstance(answer, Exception):
            raise answer
        return answer


class Stage:
    """Upstreams with models whose replicas are told apart by what they would say."""

    def __init__(self, config: Config, names: Names | None = None) -> None:
        self.maker = NotingMaker()
        self.pools = Pools(asyncio.get_running_loop().time, Random(1), ignore)
        self.upstreams = Upstreams(config, self.maker, self.pools, Discovery(names or Names()))

    @property
    def names(self) -> list[str]:
        return [replica.name for replica in self.upstreams.replicas]

    def replica(self, name: str) -> Replica:
        return next(replica for replica in self.upstreams.replicas if replica.name == name)

    def engine(self, name: str) -> NotingEngine:
        """Of the newest replica that ever had the name."""
        return self.maker.engines[name][-1]


def configured(*models: dict[str, Any], **sections: Any) -> Config:
    """Scripted models, unless they say otherwise."""
    return check({"models": [{"engine": "scripted", **model} for model in models], **sections}, "test")


def model(*texts: str, name: str = "m", **settings: Any) -> dict[str, Any]:
    """A version of a model with a replica for each text."""
    return {"name": name, "replicas": [{"text": text} for text in texts], **settings}


@asynccontextmanager
async def staged(config: Config, names: Names | None = None) -> AsyncIterator[Stage]:
    """Started, and closed at the end; no task of it is left then."""
    stage = Stage(config, names)
    async with asyncio.timeout(PATIENCE), asyncio.TaskGroup() as tasks:
        try:
            await stage.upstreams.start(tasks)
            yield stage
        finally:
            await stage.upstreams.aclose()
    for engines in stage.maker.engines.values():
        assert all(engine.closed for engine in engines if engine.started), engines
