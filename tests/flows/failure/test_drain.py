"""P11: a rolling update severs no stream: withdraw, go on serving, refuse, finish, and tell those who must be cut."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path

import openai
import pytest

from tests.support import plain
from tests.support.asking import ask, body, request_bytes, sdk_text, text
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import SpawnedGateway, configuration, spawned_gateway
from tests.support.raw import RawClient
from tests.support.waiting import PATIENCE, wait_until
from tests.support.written import written

STREAMS = 20
CAP = 60.0


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet() as running:
        yield running


@pytest.fixture
def crowd() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(STREAMS) as pool:
        yield pool


def spawned(fleet: SpawnedFleet, folder: Path, **server: float) -> Iterator[SpawnedGateway]:
    fleet.replicas[0].reset()
    with spawned_gateway(configuration(fleet.urls, server=server), folder) as gateway:
        yield gateway


@pytest.fixture
def patient(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[SpawnedGateway]:
    yield from spawned(fleet, tmp_path, drain_delay=2.0, drain_cap=CAP)


@pytest.fixture
def hasty(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[SpawnedGateway]:
    yield from spawned(fleet, tmp_path, drain_delay=0, drain_cap=0.3)


def streams(
    crowd: ThreadPoolExecutor, gateway: SpawnedGateway, fleet: SpawnedFleet, directive: str
) -> list[Future[str]]:
    """Streams of which each has had a token."""
    wanted = body(directive, stream=True)
    running = [crowd.submit(sdk_text, gateway.url, wanted) for _ in range(STREAMS)]
    fleet.replicas[0].wait_for(
        lambda calls: sum(call.stream and call.first is not None for call in calls) == STREAMS, timeout=20
    )
    return running


def readiness(gateway: SpawnedGateway) -> tuple[int, list[str]]:
    response = plain.get(f"{gateway.ops_url}/readyz")
    return response.status_code, response.json().get("reasons", [])


def test_p11_streams_end_whole_while_newcomers_are_served_then_refused(
    patient: SpawnedGateway, fleet: SpawnedFleet, crowd: ThreadPoolExecutor
) -> None:
    with plain.client(base_url=patient.url) as keeping, RawClient(patient.url) as silent:
        assert "connection" not in ask(keeping, body("tokens=2")).headers
        running = streams(crowd, patient, fleet, "tokens=80,delay_ms=40")
        patient.terminate()
        wait_until(lambda: readiness(patient), lambda seen: seen == (503, ["draining"]))
        with plain.client(base_url=patient.url) as newcomer:
            served = ask(newcomer, body("tokens=2"))
        assert (served.status, served.headers["connection"]) == (200, "close")
        assert ask(keeping, body("tokens=2", stream=True)).headers["connection"] == "close"
        refused = wait_until(lambda: ask(keeping, body("tokens=2")), lambda answer: answer.status != 200)
        assert refused.error is not None
        assert (refused.status, refused.error["code"]) == (503, "draining")
        assert (refused.headers["connection"], refused.headers["retry-after"]) == ("close", "1")
        assert "x-should-retry" not in refused.headers  # another gateway will answer
        assert [one.result(PATIENCE) for one in running] == [text(80)] * STREAMS
        assert patient.wait(PATIENCE) == 0
        assert silent.rest()[1] in {"eof", "reset"}
    records = written(patient.log)
    assert sum(record["outcome"] == "success" and record["stream"] for record in records) >= STREAMS


def test_p11_streams_over_the_cap_get_an_error_event_and_the_upstream_is_told(
    hasty: SpawnedGateway, fleet: SpawnedFleet, crowd: ThreadPoolExecutor
) -> None:
    running = streams(crowd, hasty, fleet, "tokens=10000,delay_ms=50")
    with RawClient(hasty.url) as waiting:
        waiting.socket.sendall(request_bytes(body("service_ms=60000")))
        fleet.replicas[0].wait_for(lambda calls: len(calls) == STREAMS + 1)
        hasty.terminate()
        for one in running:
            error = one.exception(PATIENCE)
            assert isinstance(error, openai.APIError)
            assert error.code == "draining"
        refused = waiting.rest()[0]
        assert refused.startswith(b"HTTP/1.1 503 ")
        assert b'"code":"draining"' in refused
    assert hasty.wait(PATIENCE) == 0
    calls = fleet.replicas[0].wait_for(lambda calls: all(call.end for call in calls))
    assert [call.outcome for call in calls] == ["cancelled"] * (STREAMS + 1)
    records = written(hasty.log)
    assert sum(record["code"] == "draining" for record in records) == STREAMS + 1


def test_p11_a_second_interrupt_ends_it_now(
    patient: SpawnedGateway, fleet: SpawnedFleet, crowd: ThreadPoolExecutor
) -> None:
    running = streams(crowd, patient, fleet, "tokens=10000,delay_ms=50")
    patient.child.send_signal(signal.SIGINT)
    wait_until(lambda: readiness(patient)[0] == 503)
    patient.child.send_signal(signal.SIGINT)
    assert patient.wait(CAP / 2) == 0
    assert all(isinstance(one.exception(PATIENCE), openai.APIError) for one in running)
    assert '"level":"error"' not in patient.errors.read_text()


def test_p11_without_traffic_it_stops_at_once(hasty: SpawnedGateway) -> None:
    with RawClient(hasty.url) as idle:
        hasty.terminate()
        assert hasty.wait(PATIENCE) == 0
        assert idle.rest()[1] in {"eof", "reset"}
