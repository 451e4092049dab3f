"""One model over three simulated servers, for tests of what becomes of a faulty one, or of all of them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass

from router.api import Replica
from router.breaker import State
from router.pool import Pool
from tests.support import plain
from tests.support.fleet import SpawnedFleet, SpawnedReplica, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, metric, running_gateway
from tests.support.standing import pool_of

TIMEOUTS = {"connect": 0.5, "first_token": 4.0, "inter_token": 2.0}
"""Too long for any of them to be what finds out a silent replica."""


@dataclass(slots=True)
class Trio:
    """`replicas` are the gateway's, `fleet` what they stand for, both in the same order."""

    fleet: SpawnedFleet
    gateway: RunningGateway

    @property
    def port(self) -> int:
        return self.gateway.port

    @property
    def pool(self) -> Pool:
        return pool_of(self.gateway, "mock")

    @property
    def replicas(self) -> tuple[Replica, ...]:
        return self.pool.replicas

    def pairs(self) -> Iterator[tuple[Replica, SpawnedReplica]]:
        return zip(self.replicas, self.fleet.replicas, strict=True)

    def set(self, **changes: object) -> None:
        """For all of them."""
        for replica in self.fleet.replicas:
            replica.set(**changes)

    def states(self) -> list[State]:
        return [replica.breaker.state for replica in self.replicas]

    def shown(self, name: str, **labels: str) -> float:
        """What the gateway's metrics say."""
        page = plain.get(f"{self.gateway.ops_url}/metrics").text
        return metric(page, f"snowshed_{name}", **labels)


@contextmanager
def trio_of(settings: str = "tokens=12", timeouts: Mapping[str, float] = TIMEOUTS) -> Iterator[Trio]:
    """As soon as a probe has found each of them ready."""
    with spawn_fleet(3, settings) as fleet, running_gateway(configuration(fleet.urls, timeouts=timeouts)) as gateway:
        trio = Trio(fleet, gateway)
        gateway.wait_until(lambda: not any(replica.verdict for replica in trio.replicas))
        yield trio
