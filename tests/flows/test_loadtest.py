"""The load test measures what callers see, tells what went wrong, and loads nobody by mistake."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from loadtests.bench.processes import free_ports
from tests.support.command_line import environment
from tests.support.databases import sqlite
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.gateway import ROOT, SpawnedGateway, configuration, spawned_gateway
from tests.support.stored import KeyBook

RECIPE = ["--headless", "--only-summary", "--loglevel=warning", "--users=6", "--spawn-rate=6", "--stop-timeout=20"]
ROW = re.compile(r"^(\w+) +(chat, \w+) +(\d+) +(\d+)\([\d.]+%\) \| +(\d+) +(\d+) +(\d+) +(\d+) \|", re.MULTILINE)


@dataclass(frozen=True)
class Row:
    """A line of the table; times in milliseconds."""

    requests: int
    failures: int
    average: int
    least: int
    most: int
    median: int


@pytest.fixture(scope="module")
def fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet() as running:
        yield running


@pytest.fixture(scope="module")
def gateway(fleet: SpawnedFleet, tmp_path_factory: pytest.TempPathFactory) -> Iterator[SpawnedGateway]:
    with spawned_gateway(configuration(fleet.urls), tmp_path_factory.mktemp("gateway")) as running:
        yield running


def load(url: str, *options: str, **variables: str) -> tuple[int, str]:
    """What `make loadtest` runs, for a shorter time: exit status, and all that it says."""
    done = subprocess.run(
        [sys.executable, "-m", "locust", "-f", "loadtests/locustfile.py", *RECIPE, "--run-time=3s", *options],
        cwd=ROOT,
        env=environment(SNOWSHED_URL=url, **variables),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=90,
        check=False,
    )
    return done.returncode, done.stdout


def table(said: str) -> dict[str, Row]:
    return {f"{kind} {name}": Row(*map(int, figures)) for kind, name, *figures in ROW.findall(said)}


def test_p46_a_known_wait_is_what_is_measured(fleet: SpawnedFleet, gateway: SpawnedGateway) -> None:
    """P46: the first content counts, and no event that only names the role."""
    upstream = fleet.replicas[0]
    upstream.reset()
    upstream.set(tokens=10, ttft_ms=300, delay_ms=20, role_apart=True)
    status, said = load(gateway.url)
    assert status == 0, said
    rows = table(said)
    assert rows.keys() == {"POST chat, streamed", "POST chat, unary", "TTFT chat, streamed", "ITL chat, streamed"}
    whole, first, between = (rows[f"{kind} chat, streamed"] for kind in ("POST", "TTFT", "ITL"))
    assert first.requests == between.requests == whole.requests > 0
    print(f"TTFT {first} and ITL {between}; on a machine at rest both are within 5 % of what the upstream takes")
    assert 300 <= first.least < 450  # of what is allowed at rest, ten times as much
    assert 15 <= between.median < 40
    assert 480 <= whole.least < 720
    served = [call.outcome for call in upstream.calls()]
    assert whole.requests + rows["POST chat, unary"].requests == served.count("finished") == len(served)


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"fault": "cut", "after": 3}, "upstream_interrupted"),
        ({"fault": "status", "status": 503}, "503 upstream_overloaded: The model server is overloaded."),
        ({"tokens": 0}, "a stream without content"),
    ],
    ids=["interrupted", "refused", "empty"],
)
def test_what_goes_wrong_is_counted_and_told(
    fleet: SpawnedFleet, gateway: SpawnedGateway, settings: dict[str, object], told: str
) -> None:
    fleet.replicas[0].reset()
    fleet.replicas[0].set(**settings)
    status, said = load(gateway.url, "--run-time=1s", "StreamingCaller")
    streamed = table(said)["POST chat, streamed"]
    assert (status, streamed.failures) == (1, streamed.requests), said
    assert told in said
    assert not {"TTFT chat, streamed", "ITL chat, streamed"} & table(said).keys()


def test_a_stream_that_breaks_off_is_no_answer(fleet: SpawnedFleet) -> None:
    """Loads the model server itself: a gateway would end such a stream with an error event."""
    fleet.replicas[0].reset()
    fleet.replicas[0].set(fault="cut", after=3)
    status, said = load(fleet.urls[0].removesuffix("/v1"), "--run-time=1s", "StreamingCaller")
    assert status == 1
    assert 0 < table(said)["POST chat, streamed"].failures == table(said)["POST chat, streamed"].requests, said


def test_a_key_is_sent_where_there_is_one(tmp_path: Path) -> None:
    book = KeyBook(sqlite(tmp_path))
    book.tenant()
    tree = configuration(auth={"kind": "keys", "sqlite": book.url.removeprefix("sqlite:///")})
    with spawned_gateway(tree, tmp_path) as gateway:
        status, said = load(gateway.url, "--run-time=1s", SNOWSHED_API_KEY=book.key().text)
        assert (status, table(said).keys() >= {"POST chat, unary", "TTFT chat, streamed"}) == (0, True), said
        status, said = load(gateway.url)
        assert (status, table(said)) == (1, {})
        assert f"the gateway at {gateway.url} wants a key: set SNOWSHED_API_KEY." in said
        status, said = load(gateway.url, SNOWSHED_API_KEY="sk-none")
        assert (status, table(said)) == (1, {})
        assert f"the gateway at {gateway.url} doesn't take the key in SNOWSHED_API_KEY." in said


def test_another_machine_is_loaded_only_if_that_is_said() -> None:
    status, said = load("http://192.0.2.1:8080")
    assert status == 1
    assert "--anywhere" in said
    assert not table(said)


def test_without_a_gateway_nothing_is_tried() -> None:
    (port,) = free_ports(1)
    status, said = load(f"http://127.0.0.1:{port}")
    assert status == 1
    assert "no gateway at" in said
    assert not table(said)


def test_make_runs_it_for_thirty_seconds_and_on_its_own_lock() -> None:
    recipe = subprocess.run(
        ["make", "-n", "loadtest", "ARGS=--users=50"], cwd=ROOT, capture_output=True, text=True, check=True
    ).stdout
    assert re.search(r"scripts/setup dev\n", recipe)
    assert re.search(
        r"locust -f loadtests/locustfile\.py --headless .*--run-time 30s .*--users=50\n", recipe, re.DOTALL
    )
