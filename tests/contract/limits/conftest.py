"""Each limiter there is, with a tenant and a clock of the test's own."""

from __future__ import annotations

import itertools
from collections.abc import AsyncIterator, Iterator

import pytest

from security.limits.local import LocalLimiter
from tests.support.limiting import Book, LimiterStand, shared
from tests.support.valkey import ValkeyServer, running_valkey

TENANTS = (f"tenant{number}" for number in itertools.count())


@pytest.fixture(scope="module")
def valkey() -> Iterator[ValkeyServer]:
    with running_valkey() as server:
        yield server


@pytest.fixture(params=["local", "redis"])
async def stand(request: pytest.FixtureRequest) -> AsyncIterator[LimiterStand]:
    clock, tenant, book = [1000.0], next(TENANTS), Book()
    if request.param == "local":
        yield LimiterStand(LocalLimiter(lambda: clock[0], book), tenant, clock, book)
    else:
        server: ValkeyServer = request.getfixturevalue("valkey")
        limiter = shared(server.url, clock, ledger=book)
        yield LimiterStand(limiter, tenant, clock, book)
        await limiter.aclose()
