"""Simulated upstreams behind one gateway whose leftovers can be counted: `mock` may use all, `lone` only the first."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import httpx2

from engines.http import Pool
from engines.openai import OpenAIEngine
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, running_gateway
from tests.support.written import written

TIMER = 0.3
"""Seconds of the three upstream timers; the sweeper adds up to 0.2."""
SLACK = 5.0
"""What a busy machine may add to it."""


def two_models(urls: list[str], **sections: Any) -> dict[str, Any]:
    models = [
        {"name": "mock", "engine": "openai", "policy": "round_robin", "replicas": [{"url": url} for url in urls]},
        {"name": "lone", "engine": "openai", "upstream": "mock", "replicas": [{"url": urls[0]}]},
    ]
    return configuration(urls, models=models, **sections)


@dataclass(slots=True)
class Stand:
    """What a test of failures needs: the upstreams, the gateway, a client, and the gateway's request records."""

    fleet: SpawnedFleet
    gateway: RunningGateway
    client: httpx2.Client
    log: Path

    def pools(self) -> list[Pool]:
        replicas = self.gateway.objects.upstreams.replicas
        return [cast("OpenAIEngine", replica.engine)._pool for replica in replicas]

    def wait_idle(self) -> None:
        """Until nothing is held anywhere: no request, no busy connection, none being made."""
        self.gateway.wait_idle()
        pools = self.pools()
        self.gateway.wait_until(lambda: all(len(p._open) == len(p._idle) and p._connecting == 0 for p in pools))

    def reset(self) -> None:
        """Well-behaved upstreams with an empty log, of which the gateway thinks no ill."""
        for replica in self.fleet.replicas:
            replica.reset()
        self.gateway.run(self.gateway.forgive)

    def started(self) -> int:
        """Calls that have come to the upstreams since the last reset."""
        return sum(int(replica.stats()["started"]) for replica in self.fleet.replicas)

    def record(self, matches: Callable[[dict[str, Any]], bool]) -> dict[str, Any]:
        """The one request record that matches, as soon as it is logged."""
        found: list[dict[str, Any]] = []

        def there() -> bool:
            found[:] = [line for line in written(self.log) if matches(line)]
            return bool(found)

        self.gateway.wait_until(there)
        assert len(found) == 1, found
        return found[0]


@contextmanager
def standing(log: Path, timeouts: Mapping[str, float], upstream: str = "tokens=12") -> Iterator[Stand]:
    """A stand with two upstreams for the length of a block; request records go to the file `log`."""
    fd = os.open(log, os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    try:
        with spawn_fleet(2, upstream) as fleet:
            tree = two_models(fleet.urls, timeouts=timeouts)
            with running_gateway(tree, log_fd=fd) as gateway, gateway.client() as client:
                yield Stand(fleet, gateway, client, log)
    finally:
        os.close(fd)
