"""P26: in front of a Triton server that does one request at a time, deadlines and bounds are kept by the gateway."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from loadtests.prove.faults import GRPC_MODEL
from tests.support.fleet import SpawnedFleet, spawn_fleet
from tests.support.queueing import named, patient, queueing
from tests.support.tiny_tokenizer import write_tiny_tokenizer
from tests.support.triton_stand import behind

WITHIN = 2.0
CALLERS = 20


@pytest.fixture(scope="module")
def triton_fleet() -> Iterator[SpawnedFleet]:
    with spawn_fleet(1, "tokens=2", contract="llmapi") as running:
        yield running


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p26_of_twenty_callers_one_runs_and_the_others_are_told_within_their_time(
    triton_fleet: SpawnedFleet, stream: bool, tmp_path: Path
) -> None:
    (server,) = triton_fleet.replicas
    tokenizer = write_tiny_tokenizer(tmp_path / "tokenizer")
    model = {**behind("mock", tokenizer, {"url": triton_fleet.targets[0], **GRPC_MODEL}), "limits": {"requests": 1}}
    within = {"start_within": patient(f"{WITHIN}s")}
    with queueing(triton_fleet, tmp_path, model, admission=within) as place:
        server.set(slots=1, ttft_ms=10_000, service_ms=10_000)
        with place.holding(stream=stream):
            others = [place.asking(named(f"n{number}", stream=stream)) for number in range(CALLERS - 1)]
            told = [one.result() for one in others]
        assert {one.told for one in told} == {(503, "overloaded")}
        assert all(one.seconds < WITHIN + 3 for one in told), [one.seconds for one in told]
        assert sum(one.seconds > WITHIN - 0.3 for one in told) == CALLERS - 1, "nothing had ended: nobody could know"
        (call,) = server.wait_for(lambda calls: all(one.end for one in calls))
        assert call.outcome == "cancelled"
        stats = server.stats()
        assert (stats["started"], stats["peak_running"], stats["running"], stats["queued"]) == (1, 1, 0, 0)
        server.set(ttft_ms=0, service_ms=0)
        assert place.ask(named("after", stream=stream)).told == (200, "")
