"""Each limiter there is, with a tenant and a clock of the test's own."""

from __future__ import annotations

import itertools

import pytest

from security.limits.local import LocalLimiter
from tests.support.limiting import LimiterStand

TENANTS = (f"tenant{number}" for number in itertools.count())


async def nothing_is_waiting() -> None:
    """What a store in memory is told, it is told at once."""


def local(tenant: str) -> LimiterStand:
    clock = [1000.0]
    stand = LimiterStand(tenant, clock, nothing_is_waiting)
    stand.limiter = LocalLimiter(lambda: clock[0])
    return stand


@pytest.fixture(params=["local"])
def stand(request: pytest.FixtureRequest) -> LimiterStand:
    return local(next(TENANTS))
