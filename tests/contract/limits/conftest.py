"""Each limiter there is, with a tenant and a clock of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from security.limits.local import LocalLimiter
from tests.support.limiting import LimiterStand, shared
from tests.support.valkey import ValkeyServer, running_valkey

TENANTS = (f"tenant{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


@pytest.fixture(params=["local", "redis"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[LimiterStand]:
    clock, tenant = [1000.0], next(TENANTS)
    if request.param == "local":
        yield LimiterStand(LocalLimiter(lambda: clock[0]), tenant, clock)
    else:
        server: ValkeyServer = request.getfixturevalue("valkey")
        limiter = shared(server.url, clock)
        yield LimiterStand(limiter, tenant, clock)
        await limiter.aclose()
