"""P03: the store's master is killed and its replica takes over, while gateways serve on within their limits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from typing import Any, NamedTuple

import pytest

from loadtests.quotas.replicated import Replicated, running_replicated
from security.limits.redis_store import GATEWAYS
from tests.flows.quotas.conftest import VARIABLE, two_gateways
from tests.support.balancer import Pair
from tests.support.fleet import SpawnedFleet
from tests.support.limited import plan
from tests.support.queueing import named
from tests.support.waiting import wait_until

LIMIT = 60
"""Requests a minute."""
BACK = 5.0
"""Seconds after a new master is there by when all ask it."""
WAITED, SOON_AFTER = 0.25, 0.005
"""Seconds that nobody waits longer for, when the store goes away, and while it is known to be."""
SLACK = 10


class Answered(NamedTuple):
    """How many seconds it took, and how it went."""

    seconds: float
    status: int


@pytest.fixture
def stores(monkeypatch: pytest.MonkeyPatch) -> Iterator[Replicated]:
    with running_replicated() as replicated:
        monkeypatch.setenv(VARIABLE, replicated.url)
        yield replicated


def asked(pair: Pair, sent: dict[str, Any]) -> Answered:
    began = time.monotonic()
    with pair.client() as client:
        status = client.post("/v1/chat/completions", json=named("each"), headers=sent).status_code
    return Answered(time.monotonic() - began, status)


def wait_until_they_know_of_each_other(stores: Replicated) -> None:
    """Each has said twice that it is there since both have."""
    with stores.master.client() as client:

        def said() -> list[float]:
            return sorted(dict(client.zscan_iter(GATEWAYS)).values())

        both = wait_until(said, lambda found: len(found) == 2)
        again = wait_until(said, lambda found: found[0] > both[1])
        wait_until(said, lambda found: found[0] > again[1])


def test_p03_a_master_that_is_killed_costs_nobody_an_answer_and_no_limit(
    fleet: SpawnedFleet, tmp_path: Path, stores: Replicated
) -> None:
    with two_gateways(fleet, tmp_path, plan(key={"requests_per_minute": LIMIT})) as (pair, sent):
        wait_until_they_know_of_each_other(stores)
        began = time.monotonic()
        answers = [asked(pair, sent) for _ in range(LIMIT // 3)]
        assert {answer.status for answer in answers} == {200}
        stores.wait_for_replica()
        stores.master.kill()
        meanwhile = []
        while not stores.succeeded:
            meanwhile.append(asked(pair, sent))
        succeeded = time.monotonic()
        wait_until(lambda: pair.metric("snowshed_limit_store_up"), [1.0, 1.0].__eq__)
        assert time.monotonic() - succeeded < SLACK * BACK
        answers += meanwhile
        while answers[-1].status == 200 or time.monotonic() - succeeded < 1:
            answers.append(asked(pair, sent))
    assert {answer.status for answer in answers} <= {200, 429}
    assert any(answer.status == 200 for answer in meanwhile), "each lets its part pass"
    assert max(answer.seconds for answer in meanwhile) < SLACK * WAITED
    assert median(answer.seconds for answer in meanwhile[len(meanwhile) // 2 :]) < SLACK * SOON_AFTER
    passed = sum(answer.status == 200 for answer in answers)
    drained = LIMIT / 60 * (time.monotonic() - began)
    assert passed <= 2 * LIMIT + drained, "a minute's worth more for the switch"
