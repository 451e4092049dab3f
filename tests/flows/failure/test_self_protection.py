"""A gateway in trouble refuses newcomers before their bodies, ends what it has, stays in rotation, and recovers."""

from __future__ import annotations

import json
import resource
import select
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support import plain
from tests.support.asking import ask, body, request_bytes
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import (
    RunningGateway,
    SpawnedGateway,
    configuration,
    metric,
    running_gateway,
    spawned_gateway,
)
from tests.support.raw import RawClient
from tests.support.waiting import wait_until

STREAM = request_bytes(body("tokens=600,delay_ms=100", stream=True))
ANNOUNCED = request_bytes(body())[:-10]  # a body that never comes whole: nothing but a refusal can answer it


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet() as running:
        yield running


@dataclass
class Readings:
    """What a process in peace would read."""

    full: float = 0.1

    def worked(self) -> float:
        return 0.0

    def memory(self) -> float:
        return self.full

    def files(self) -> float:
        return 0.1

    def most_files(self) -> int:
        return 1000


@contextmanager
def under_way(url: str) -> Iterator[RawClient]:
    """A stream that has had its first token."""
    with RawClient(url) as client:
        client.socket.sendall(STREAM)
        client.until(b"data: ")
        yield client


def series(ops_url: str, name: str, reason: str) -> float:
    return metric(plain.get(f"{ops_url}/metrics").text, name, reason=reason)


def troubled(ops_url: str, reason: str) -> bool:
    return series(ops_url, "snowshed_self_protection", reason) == 1


def refused(url: str, says: str, *, close: bool) -> None:
    """One newcomer, who has not sent their body, is told why, and when to come back."""
    with RawClient(url) as client:
        client.socket.sendall(ANNOUNCED)
        if close:
            answer, how = client.rest()
            assert how == "eof"
        else:
            answer = client.until(b"}}")
    head, _, said = answer.partition(b"\r\n\r\n")
    lines = head.lower().split(b"\r\n")
    assert lines[0].startswith(b"http/1.1 503")
    assert {b"retry-after: 1", b"retry-after: 2"} & set(lines)
    assert (b"connection: close" in lines) == close
    error = json.loads(said)["error"]
    assert error["code"] == "overloaded"
    assert says in error["message"]


def test_short_of_memory_it_takes_no_more_and_ends_what_it_has(fleet: SpawnedFleet) -> None:
    readings = Readings()
    with running_gateway(configuration(fleet.urls)) as gateway, plain.client(base_url=gateway.url) as http:
        gateway.objects.edge.protection.vitals = readings
        calls = len(fleet.replicas[0].calls())
        with under_way(gateway.url) as stream:
            readings.full = 0.9
            wait_until(lambda: troubled(gateway.ops_url, "memory"))
            refused(gateway.url, "memory", close=True)
            assert len(fleet.replicas[0].calls()) == calls + 1
            assert plain.get(f"{gateway.ops_url}/livez").status_code == 200
            ready = plain.get(f"{gateway.ops_url}/readyz")
            assert (ready.status_code, ready.json()["warnings"]) == (200, ["The gateway is short of memory."])
            assert series(gateway.ops_url, "snowshed_self_protection_refused_total", "memory") == 1
            stream.until(b"data: ")
        gateway.wait_idle()
        assert ask(http, body("tokens=2")).status == 200  # alone: or nothing would ever come in again
        readings.full = 0.5
        wait_until(lambda: not troubled(gateway.ops_url, "memory"))
        with under_way(gateway.url):
            assert ask(http, body("tokens=2")).status == 200
        assert plain.get(f"{gateway.ops_url}/readyz").json()["warnings"] == []


def burn(gateway: RunningGateway, over: threading.Event) -> None:
    """Keep the loop busy with work of 70 ms at a time until it is `over`."""

    def turn() -> None:
        end = time.thread_time() + 0.07
        while time.thread_time() < end:
            pass
        if not over.is_set():
            gateway.loop.call_soon(turn)

    gateway.loop.call_soon_threadsafe(turn)


def test_a_loop_with_too_much_to_do_gets_no_more_until_it_keeps_up(fleet: SpawnedFleet) -> None:
    over = threading.Event()
    with (
        running_gateway(configuration(fleet.urls)) as gateway,
        under_way(gateway.url),
        plain.client(base_url=gateway.url, timeout=60) as http,
    ):
        try:
            burn(gateway, over)
            wait_until(lambda: troubled(gateway.ops_url, "lag"))
            refused(gateway.url, "event loop", close=False)
        finally:
            over.set()
        wait_until(lambda: not troubled(gateway.ops_url, "lag"))
        assert ask(http, body("tokens=2")).status == 200


def restrict(gateway: SpawnedGateway, share: float) -> None:
    """Let the gateway have so many descriptors that those open are `share` of them."""
    opened = len(list(Path(f"/proc/{gateway.pid}/fd").iterdir()))
    _, hard = resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE)
    resource.prlimit(gateway.pid, resource.RLIMIT_NOFILE, (int(opened / share), hard))


def test_short_of_descriptors_it_closes_the_connections_of_those_refused(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with spawned_gateway(configuration(fleet.urls), tmp_path) as gateway, ExitStack() as connections:
        for _ in range(50):
            connections.enter_context(RawClient(gateway.url))
        with under_way(gateway.url):
            restrict(gateway, 0.9)
            wait_until(lambda: troubled(gateway.ops_url, "files"))
            for _ in range(5):
                refused(gateway.url, "descriptors", close=True)
            connections.close()
            wait_until(lambda: not troubled(gateway.ops_url, "files"))
            with plain.client(base_url=gateway.url) as http:
                assert ask(http, body("tokens=2")).status == 200


def is_closed(client: RawClient) -> bool:
    """By the gateway, whatever it had sent before."""
    while select.select([client.socket], [], [], 0)[0]:
        if not client.socket.recv(4096):
            return True
    return False


def test_short_of_descriptors_it_closes_what_is_idle_before_it_refuses_anybody(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    """Who keeps connections and asks nothing takes no place from who asks."""
    with spawned_gateway(configuration(fleet.urls), tmp_path) as gateway, ExitStack() as connections:
        clients = [connections.enter_context(RawClient(gateway.url)) for _ in range(60)]
        for client in clients:
            client.socket.sendall(request_bytes(body("tokens=1")))
            client.until(b"}}")
        with under_way(gateway.url) as stream:
            restrict(gateway, 0.85)
            wait_until(lambda: any(map(is_closed, clients)))
            assert not troubled(gateway.ops_url, "files")
            with plain.client(base_url=gateway.url) as http:
                assert ask(http, body("tokens=2")).status == 200
            assert series(gateway.ops_url, "snowshed_self_protection_refused_total", "files") == 0
            assert not all(map(is_closed, clients)), "no more than it takes"
            stream.until(b"data: ")
