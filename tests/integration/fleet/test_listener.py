"""A listener refuses connections, or leaves them unanswered, and comes back on its port."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.support.fleet import SpawnedReplica, spawn_fleet
from tests.support.raw import RawClient

SILENCE = 0.2
ASK = {"model": "m", "messages": []}


@pytest.fixture
def replica() -> Iterator[SpawnedReplica]:
    with spawn_fleet() as fleet:
        yield fleet.replicas[0]


def test_a_refusing_listener_comes_back_on_its_port(replica: SpawnedReplica) -> None:
    with RawClient(replica.url) as client:
        replica.listen("refused", drop=True)
        assert client.rest() == (b"", "reset")
    with pytest.raises(ConnectionRefusedError):
        RawClient(replica.url)
    replica.listen("open")
    with RawClient(replica.url) as again:
        again.post(ASK)
        assert again.until(b"usage")


def test_a_full_backlog_leaves_connecting_clients_without_an_answer(replica: SpawnedReplica) -> None:
    replica.listen("backlog_full")
    with pytest.raises(TimeoutError):
        RawClient(replica.url, connect_seconds=SILENCE)
    replica.listen("open")
    with RawClient(replica.url) as again:
        again.post(ASK)
        assert again.until(b"usage")
