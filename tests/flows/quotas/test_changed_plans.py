"""A plan that is set while gateways count in one store holds in all of them, whatever they know of the limit before."""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from pathlib import Path

import pytest

from tests.flows.quotas.conftest import VARIABLE, two_gateways
from tests.support import plain
from tests.support.databases import sqlite
from tests.support.fleet import SpawnedFleet
from tests.support.knocking import SOON
from tests.support.limited import plan
from tests.support.queueing import named
from tests.support.stored import SOMEBODY, KeyBook
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer]:
    with running_valkey("pass-word") as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


@pytest.mark.usefixtures("valkey")
def test_two_gateways_take_over_a_limit_that_is_raised_and_lowered(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with two_gateways(fleet, tmp_path, plan(key={"requests_per_minute": 3})) as (pair, sent):
        book = KeyBook(sqlite(tmp_path))
        urls = [gateway.url for gateway in pair.gateways]

        def answers(status: int) -> bool:
            """Whether each gives this one."""
            body = named("each", "tokens=1")
            asked = [
                plain.post(f"{url}/v1/chat/completions", json=body, headers=sent, timeout=PATIENCE) for url in urls
            ]
            return all(one.status_code == status for one in asked)

        wait_until(partial(answers, 429), seconds=SOON)
        for limit, status in ((6000, 200), (1, 429), (6000, 200)):
            entry = {"key": {"requests_per_minute": limit}}
            book.do(lambda them, entry=entry: them.plans.set("default", entry, by=SOMEBODY))  # type: ignore[misc]
            wait_until(partial(answers, status), seconds=SOON)
