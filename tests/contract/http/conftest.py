"""One gateway per module and adapter, over one simulated upstream: every test of this folder runs for both adapters."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fleet import SpawnedReplica, spawn_fleet
from tests.support.gateway import Adapter, RunningGateway, configuration, running_gateway
from tests.support.promises import PROMISES, Promises
from tests.support.talk import Talk

TIMES = {"head": 0.5, "body": 0.5, "idle": 0.5, "stall": 0.5}


@pytest.fixture(scope="session")
def upstream() -> Iterator[SpawnedReplica]:
    with spawn_fleet(settings="tokens=3") as fleet:
        yield fleet.replicas[0]


@pytest.fixture(scope="module", params=["front_door", "asgi"])
def adapter(request: pytest.FixtureRequest) -> Adapter:
    adapter: Adapter = request.param
    return adapter


@pytest.fixture
def promises(adapter: Adapter) -> Promises:
    return PROMISES[adapter]


@pytest.fixture(scope="module")
def running(adapter: Adapter, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    """With patience for clients on a busy machine."""
    with running_gateway(configuration([upstream.url]), adapter) as gateway:
        yield gateway


@pytest.fixture
def gateway(running: RunningGateway, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    """The module's gateway; afterwards nothing may be left of what the test did."""
    upstream.reset()
    yield running
    running.wait_idle()


@pytest.fixture(scope="module")
def running_hasty(adapter: Adapter, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    with running_gateway(configuration([upstream.url], timeouts=TIMES), adapter) as gateway:
        yield gateway


@pytest.fixture
def hasty(running_hasty: RunningGateway, upstream: SpawnedReplica) -> Iterator[RunningGateway]:
    """With half a second for everything that a client does."""
    upstream.reset()
    yield running_hasty
    running_hasty.wait_idle()


@pytest.fixture
def talk(gateway: RunningGateway) -> Iterator[Talk]:
    with Talk(gateway.url) as talk:
        yield talk
