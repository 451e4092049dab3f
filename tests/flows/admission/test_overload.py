"""P10: clients at five times what the upstream can do, in an open loop, and all is as before once they are gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.support import plain
from tests.support.asking import ask, request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import SpawnedGateway, configuration, metric, spawned_gateway
from tests.support.queueing import named, names, patient, served
from tests.support.waiting import PATIENCE, wait_until

PLACES, SERVICE = 4, 0.1
CAPACITY = PLACES / SERVICE
"""Answers a second."""
SECONDS, TIMES = 3.0, 5
"""How long clients come, and at how many times the capacity."""
GOOD, LEAVES = 1.0, 2.0
"""Seconds within which an answer is of use; and after which a client gives up."""


@dataclass(slots=True)
class Client:
    """One request, by its own clock. `status` 0: it has left, at `ended`."""

    name: str
    began: float = 0.0
    ended: float = 0.0
    status: int = 0
    headers: dict[str, str] = field(default_factory=dict)
    document: Any = None

    async def come(self, port: int) -> None:
        time = asyncio.get_running_loop().time
        self.began = time()
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        wanted = named(self.name, f"service_ms={SERVICE * 1000:g}", max_tokens=16)
        writer.write(request_bytes(wanted, {"connection": "close"}))
        with suppress(TimeoutError):
            async with asyncio.timeout(LEAVES):
                self._hear(await reader.read())
        self.ended = time()
        writer.transport.abort()

    def _hear(self, answer: bytes) -> None:
        head, _, body = answer.decode().partition("\r\n\r\n")
        first, *lines = head.split("\r\n")
        self.status = int(first.split()[1])
        self.headers = dict(line.lower().split(": ", 1) for line in lines)
        self.document = json.loads(body)


async def crowd(port: int, seconds: float, rate: float) -> list[Client]:
    """Each comes when it is due, however the others fare."""
    time = asyncio.get_running_loop().time
    began, clients = time(), [Client(f"client-{number}") for number in range(int(seconds * rate))]
    async with asyncio.TaskGroup() as group:
        for number, client in enumerate(clients):
            await asyncio.sleep(began + number / rate - time())
            group.create_task(client.come(port))
    return clients


@pytest.fixture
def gateway(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[SpawnedGateway]:
    """A process of its own, over a server that would take all that come."""
    fleet.replicas[0].reset()
    admission = {"tenant_share": 1, "start_within": patient("450ms")}
    with spawned_gateway(configuration(models=[served(fleet.urls, PLACES)], admission=admission), tmp_path) as made:
        yield made


async def test_p10_at_five_times_its_capacity_good_answers_come_and_the_rest_is_refused_in_time(
    gateway: SpawnedGateway, fleet: SpawnedFleet
) -> None:
    port = urlsplit(gateway.url).port
    assert port is not None
    clients = await crowd(port, SECONDS, TIMES * CAPACITY)
    good = [one for one in clients if one.status == 200 and one.ended - one.began <= GOOD]
    assert len(good) >= 0.5 * CAPACITY * SECONDS
    refused = [one for one in clients if one.status not in (0, 200)]
    assert len(refused) > len(clients) / 2
    for one in refused:
        assert (one.status, one.document["error"]["code"]) == (503, "overloaded")
        assert 1 <= int(one.headers["retry-after"]) <= 120
        assert int(one.headers["retry-after-ms"]) <= 1000 * int(one.headers["retry-after"])
    waited = sorted(one.ended - one.began for one in refused)
    assert waited[len(waited) // 2] < 0.5
    await asyncio.to_thread(all_is_over, gateway, fleet, clients)


def all_is_over(gateway: SpawnedGateway, fleet: SpawnedFleet, clients: list[Client]) -> None:
    """The upstream had no more at a time than it may have, nothing to do for who had left, and is now free."""
    (upstream,) = fleet.replicas
    calls = upstream.wait_for(lambda calls: all(call.end for call in calls))
    assert upstream.stats()["peak_running"] <= PLACES
    left = {one.name: one.ended for one in clients if one.status == 0}
    late = [
        call for call, name in zip(calls, names(calls), strict=True) if name in left and call.start > left[name] + 0.5
    ]
    assert late == []
    assert {call.outcome for call, name in zip(calls, names(calls), strict=True) if name not in left} == {"finished"}
    page = wait_until(
        lambda: plain.get(f"{gateway.ops_url}/metrics").text, lambda page: metric(page, "snowshed_queue_depth") == 0
    )
    refused = sum(one.status == 503 for one in clients)
    assert refused <= metric(page, "snowshed_shed_total") <= refused + len(left)
    with plain.client(base_url=gateway.url, timeout=PATIENCE) as client:
        assert [ask(client, named("after", "service_ms=10")).status for _ in range(20)] == [200] * 20
