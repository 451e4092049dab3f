"""P36: copies of requests never hurt, delay or bill those who asked; they end with them, and are compared with them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import count
from pathlib import Path
from typing import Any

import httpx2
import pytest

from loadtests.prove.answers import Answer
from tests.support import plain
from tests.support.asking import ask, body, request_bytes, text
from tests.support.fleet import LoggedCall, SpawnedFleet, SpawnedReplica, spawn_fleet
from tests.support.gateway import RunningGateway, configuration, metric, running_gateway
from tests.support.waiting import wait_until
from tests.support.written import written

PLACES = 4
TOKENS = 8
SLACK = 2.5
"""Seconds: half of what a shadow in trouble takes."""
"""Seconds that a busy machine may add to any request; `make prove` is stricter. A slow shadow takes many times that."""
_labels = count()


@dataclass(slots=True)
class Stand:
    """`mock` in two versions, on an upstream each; the second one gets copies only."""

    fleet: SpawnedFleet
    gateway: RunningGateway
    http: httpx2.Client
    log: Path

    @property
    def primary(self) -> SpawnedReplica:
        return self.fleet.replicas[0]

    @property
    def shadow(self) -> SpawnedReplica:
        return self.fleet.replicas[1]

    def ask(self, directive: str = "", **members: Any) -> Answer:
        return ask(self.http, body(directive, **members), {"x-client-request-id": f"shadow-{next(_labels)}"})

    def metrics(self) -> str:
        return plain.get(f"{self.gateway.ops_url}/metrics").text

    def outcome(self, name: str) -> float:
        return metric(self.metrics(), "snowshed_shadow_total", model="mock", version="2", outcome=name)

    def records(self) -> list[dict[str, Any]]:
        return written(self.log)

    def wait_quiet(self) -> None:
        """Until neither a request nor a copy is under way."""
        self.gateway.wait_idle()


@pytest.fixture(scope="module")
def running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    log = tmp_path_factory.mktemp("records") / "records.jsonl"
    with log.open("ab") as file, spawn_fleet(2, f"tokens={TOKENS}") as fleet:
        models = [
            {"name": "mock", "engine": "openai", "upstream": f"model-{at}", "version": str(at), "weight": 2 - at,
             "replicas": [{"url": url}]}
            for at, url in enumerate(fleet.urls, 1)
        ]  # fmt: skip
        routing = [{"model": "mock", "shadow": {"version": "2", "share": 1, "concurrency": PLACES}}]
        tree = configuration(models=models, routing=routing)
        with running_gateway(tree, log_fd=file.fileno()) as gateway, gateway.client() as http:
            yield Stand(fleet, gateway, http, log)


@pytest.fixture
def stand(running: Stand) -> Iterator[Stand]:
    for replica in running.fleet.replicas:
        replica.reset()
    running.gateway.run(running.gateway.forgive)
    yield running
    running.wait_quiet()


def one(calls: Sequence[LoggedCall]) -> bool:
    return len(calls) == 1 and calls[0].end is not None


@pytest.mark.parametrize("stream", [False, True])
def test_a_copy_asks_the_shadow_version_the_same_and_is_compared(stand: Stand, stream: bool) -> None:
    before = stand.metrics()
    answer = stand.ask(stream=stream, temperature=0.5)
    assert (answer.status, answer.text, answer.headers["x-model-version"]) == (200, text(TOKENS), "mock@1")
    (asked,), (copied,) = stand.primary.wait_for(one), stand.shadow.wait_for(one)
    assert (asked.model, copied.model) == ("model-1", "model-2")
    assert asked.body | {"model": "model-2"} == copied.body
    assert copied.header("x-request-id") == f"{answer.headers['x-request-id']}-shadow"

    def grew(name: str, by: float, **labels: str) -> Callable[[str], bool]:
        return lambda text: metric(text, name, **labels) == metric(before, name, **labels) + by

    for grown in (
        grew("snowshed_shadow_total", 1, outcome="answered"),
        grew("snowshed_shadow_finish_reason_total", 1, agree="true"),
        grew("snowshed_shadow_completion_tokens_sum", TOKENS, side="primary"),
        grew("snowshed_shadow_completion_tokens_sum", TOKENS, side="shadow"),
        grew("snowshed_shadow_first_content_seconds_count", 1, side="primary"),
        grew("snowshed_shadow_first_content_seconds_count", 1, side="shadow"),
    ):
        wait_until(stand.metrics, grown)


def test_what_differs_is_told_apart(stand: Stand) -> None:
    before = stand.metrics()
    stand.shadow.set(tokens=2, ttft_ms=200)
    assert stand.ask(stream=True, max_tokens=4).finish_reasons == ["length"]
    name = "snowshed_shadow_finish_reason_total"
    after = wait_until(
        stand.metrics, lambda text: metric(text, name, agree="false") > metric(before, name, agree="false")
    )
    grown = {
        side: metric(after, "snowshed_shadow_completion_tokens_sum", side=side)
        - metric(before, "snowshed_shadow_completion_tokens_sum", side=side)
        for side in ("primary", "shadow")
    }
    assert grown == {"primary": 4, "shadow": 2}
    seconds = metric(after, "snowshed_shadow_first_content_seconds_sum", side="shadow") - metric(
        before, "snowshed_shadow_first_content_seconds_sum", side="shadow"
    )
    assert seconds >= 0.2


def test_p36_copies_are_billed_to_nobody(stand: Stand) -> None:
    known = len(stand.records())
    tokens = metric(stand.metrics(), "gen_ai_client_token_usage_sum", gen_ai_token_type="output")
    for _ in range(5):
        stand.ask()
        stand.wait_quiet()
    wait_until(lambda: len(stand.records()), lambda there: there >= known + 5)
    mine = stand.records()[known:]
    assert stand.shadow.stats()["finished"] == 5
    assert [(record["completion_tokens"], record["replica"]) for record in mine] == [(TOKENS, mine[0]["replica"])] * 5
    assert all(record["attempts"] == 1 for record in mine)
    after = metric(stand.metrics(), "gen_ai_client_token_usage_sum", gen_ai_token_type="output")
    assert after == tokens + 5 * TOKENS


TROUBLES: dict[str, Callable[[SpawnedReplica], None]] = {
    "dead": lambda shadow: shadow.listen("refused", drop=True),
    "slow": lambda shadow: shadow.set(ttft_ms=5000, service_ms=5000),
    "failing": lambda shadow: shadow.set(fault="status", status=500),
    "breaking": lambda shadow: shadow.set(fault="reset_after", after=1),
    "overloaded": lambda shadow: shadow.set(fault="status", status=503),
    "silent": lambda shadow: shadow.set(fault="accept_silent"),
    "stalling": lambda shadow: shadow.set(fault="stall", after=1),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_p36_a_shadow_in_trouble_costs_callers_nothing(stand: Stand, trouble: str) -> None:
    TROUBLES[trouble](stand.shadow)
    dropped = stand.outcome("dropped")
    lasted = []
    for at in range(100):
        began = time.monotonic()
        answer = stand.ask(stream=at % 2 == 0)
        lasted.append(time.monotonic() - began)
        assert (answer.status, answer.text) == (200, text(TOKENS))
    assert sorted(lasted)[98] < SLACK, "what a shadow takes must not show in what callers wait"
    stats = stand.shadow.stats()
    assert stats["peak_running"] <= PLACES
    if trouble in ("slow", "silent", "stalling"):
        assert stats["started"] <= PLACES + 1, "there is no queue: what has no place is dropped"
        assert stand.outcome("dropped") >= dropped + 90
    stand.primary.wait_for(lambda calls: len(calls) == 100)
    _end_copies(stand)


def _end_copies(stand: Stand) -> None:
    """Those that would take too long for a test."""
    stand.gateway.run(stand.gateway.objects.upstreams._pools.asides.close)


def test_p36_a_client_who_leaves_cancels_both(stand: Stand) -> None:
    cancelled = stand.outcome("cancelled")
    for replica in stand.fleet.replicas:
        replica.set(tokens=1000, delay_ms=20)
    with stand.gateway.connect() as client:
        client.sendall(request_bytes(body(stream=True)))
        for replica in stand.fleet.replicas:
            replica.wait_for(lambda calls: bool(calls and calls[0].tokens > 2))
    for replica in stand.fleet.replicas:
        (call,) = replica.wait_for(one)
        assert call.outcome == "cancelled"
    wait_until(lambda: stand.outcome("cancelled"), lambda value: value == cancelled + 1)


def test_p36_a_client_who_leaves_before_the_first_token_cancels_both(stand: Stand) -> None:
    for replica in stand.fleet.replicas:
        replica.set(service_ms=60_000)
    with stand.gateway.connect() as client:
        client.sendall(request_bytes(body()))
        for replica in stand.fleet.replicas:
            replica.wait_for(lambda calls: len(calls) == 1)
    for replica in stand.fleet.replicas:
        (call,) = replica.wait_for(one)
        assert call.outcome == "cancelled"


def test_a_request_that_ends_first_lets_its_copy_finish(stand: Stand) -> None:
    stand.shadow.set(ttft_ms=1500)
    assert stand.ask(stream=True).done
    assert [call.outcome for call in stand.shadow.calls()] in ([], [None]), "it is not waited for"
    (call,) = stand.shadow.wait_for(one)
    assert call.outcome == "finished"


def test_a_request_that_fails_takes_its_copy_along(stand: Stand) -> None:
    stand.primary.set(fault="status", status=500)
    stand.shadow.set(service_ms=60_000)
    assert stand.ask().status == 502
    stand.wait_quiet()
    assert stand.shadow.stats()["finished"] == 0


def test_a_copy_counts_as_work_of_its_replica(stand: Stand) -> None:
    text_before = stand.metrics()
    name = "snowshed_replica_calls_total"
    assert stand.ask().status == 200
    (call,) = stand.shadow.wait_for(one)
    assert call.outcome == "finished"
    replicas = [replica.name for model in stand.gateway.objects.catalog for replica in model.replicas]
    after = stand.metrics()
    grown = [metric(after, name, replica=each) - metric(text_before, name, replica=each) for each in replicas]
    assert grown == [1, 1]
