"""Whatever is asked waits in the same queue, and how long it did is told apart from what we and the upstream took."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support import plain
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.queueing import Queueing, named, queueing
from tests.support.waiting import wait_until

ENDPOINTS: Mapping[str, dict[str, Any]] = {
    "/v1/chat/completions": {"messages": [{"role": "user", "content": "Say something."}]},
    "/v1/completions": {"prompt": "Say something."},
    "/v1/embeddings": {"input": "Say something."},
}


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with queueing(fleet, tmp_path) as made:
        yield made


def timing(headers: Mapping[str, str]) -> dict[str, float]:
    """The parts of server-timing, in seconds."""
    return {name: float(spent) / 1000 for name, spent in re.findall(r"(\w+);dur=([\d.]+)", headers["server-timing"])}


@pytest.mark.parametrize("path", ENDPOINTS)
def test_every_kind_of_request_waits_for_its_turn(place: Queueing, path: str) -> None:
    with place.holding():
        answering = place.threads.submit(place.http.post, path, json={"model": "mock", **ENDPOINTS[path]})
        place.wait_for_queue(1)
        assert place.asked() == []
    answer = answering.result()
    assert answer.status_code == 200
    assert timing(answer.headers)["queue"] > 0


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_the_wait_is_told_and_is_nobody_s_fault(place: Queueing, stream: bool) -> None:
    with place.holding() as (holder,):
        came = time.monotonic()
        waiting = place.lining_up(
            named("waiting", "service_ms=300,ttft_ms=300", stream=stream), x_client_request_id="waiting"
        )
        lined_up = time.monotonic()
        wait_until(lambda: time.monotonic() > lined_up + 0.5)
        freed = time.monotonic()
        holder.socket.close()
        heard = waiting.result()
    told = timing(heard.answer.headers)
    (call,) = place.wait_for_asked(1)
    assert freed - lined_up <= told["queue"] <= call.start - came
    assert 0.3 <= told["first_token"] <= heard.seconds - told["queue"]
    assert told["gateway"] < 0.5
    record = place.record("waiting")
    assert record["queue_ms"] == pytest.approx(told["queue"] * 1000, abs=0.1)
    page = plain.get(f"{place.gateway.ops_url}/metrics").text
    assert metric(page, "snowshed_queue_depth") == 0


def test_who_need_not_wait_has_not_waited(place: Queueing) -> None:
    heard = place.ask(named("alone"), x_client_request_id="alone")
    assert timing(heard.answer.headers)["queue"] == 0
    assert place.record("alone")["queue_ms"] == 0
