"""Finished records become series: the right ones, whole batches at a time, and never more of them than we chose."""

from __future__ import annotations

import threading
import time
from typing import Any

import pytest
from prometheus_client import REGISTRY
from prometheus_client.parser import text_string_to_metric_families

from engines.api import Failed
from gateway.accounts import Record
from gateway.exposition import family
from gateway.metrics import Metrics
from gateway.tallies import MODELS, VALUES

FAILED = [("a", Failed)]


def record(**changes: Any) -> Record:
    """A stream of 101 tokens: first after 300 ms, then one every 20 ms."""
    made = Record("req_1", "", "chat", 100.0, 0)
    values = {
        "model": "tiny", "version": "tiny@1", "replica": "a", "stream": True, "status": 200, "outcome": "success",
        "attempts": 1, "dispatched_at": 100.001, "first_at": 100.3, "last_at": 102.3, "ended_at": 102.31,
        "gap_max": 0.06, "queued": 0.004, "overhead": 0.00015, "chunks": 101, "prompt_tokens": 7,
        "completion_tokens": 101, "usage_exact": True,
    }  # fmt: skip
    for name, value in (values | changes).items():
        setattr(made, name, value)
    return made


def series(metrics: Metrics, name: str = "") -> dict[tuple[str, frozenset[tuple[str, str]]], float]:
    """All, or those of that name: parsing takes long where there are many."""
    lines = [line for line in metrics.render().decode().splitlines(keepends=True) if name in line]
    return {
        (sample.name, frozenset(sample.labels.items())): sample.value
        for family in text_string_to_metric_families("".join(lines))
        for sample in family.samples
    }


def value(metrics: Metrics, name: str, **labels: str) -> float:
    """The sum over all series of that name with at least those labels."""
    full, wanted = name if name.startswith("gen_ai_") else f"snowshed_{name}", labels.items()
    return sum(number for (each, has), number in series(metrics, full).items() if each == full and wanted <= has)


def folded(*records: Record) -> Metrics:
    metrics = Metrics("1.2.3")
    metrics.fold(records)
    return metrics


@pytest.mark.parametrize(
    ("changes", "name", "labels", "expected"),
    [
        ({}, "requests_total", {"kind": "chat", "model": "tiny", "outcome": "success", "code": "none"}, 1),
        ({"outcome": "failed", "code": "upstream_error"}, "requests_total", {"code": "upstream_error"}, 1),
        ({"model": ""}, "requests_total", {"model": "none"}, 1),
        ({}, "gen_ai_client_token_usage_sum", {"gen_ai_token_type": "input"}, 7),
        ({}, "gen_ai_client_token_usage_sum", {"gen_ai_token_type": "output"}, 101),
        ({}, "gen_ai_client_token_usage_bucket", {"gen_ai_token_type": "output", "le": "64"}, 0),
        ({}, "gen_ai_client_token_usage_bucket", {"gen_ai_token_type": "output", "le": "256"}, 1),
        ({"completion_tokens": 0}, "gen_ai_client_token_usage_count", {"gen_ai_token_type": "output"}, 0),
        ({"attempts": 3, "failed": FAILED * 2}, "failovers_total", {"model": "tiny"}, 2),
        ({"attempts": 3, "failed": FAILED * 3, "outcome": "failed"}, "failovers_total", {"model": "tiny"}, 2),
        ({"attempts": 2}, "failovers_total", {}, 0),  # a hedge
        ({"first_at": 1.0, "output_cap": 5}, "capped_total", {"model": "tiny", "cut": "false"}, 1),
        ({"first_at": 1.0, "output_cap": 5, "cut": True}, "capped_total", {"cut": "true"}, 1),
        ({"first_at": 1.0, "output_cap": 5, "cut": True}, "capped_total", {"cut": "false"}, 0),
        ({"first_at": 1.0, "cut": True}, "capped_total", {"cut": "true"}, 1),  # it heeded not even its own cap
        ({"attempts": 0}, "failovers_total", {}, 0),
        ({}, "requests_total", {"version": "tiny@1"}, 1),
        ({"version": ""}, "requests_total", {"version": "none"}, 1),
        (
            {"version": "small@1", "fallback": "overload"},
            "fallbacks_total",
            {"model": "tiny", "version": "small@1", "reason": "overload"},
            1,
        ),
        ({}, "fallbacks_total", {}, 0),
        (
            {"version": "tiny@2"},
            "gen_ai_server_request_duration_seconds_count",
            {"gen_ai_request_model": "tiny", "gen_ai_response_model": "tiny@2"},
            1,
        ),
        ({"client_gone": True, "first_at": 0.0}, "cancelled_total", {"phase": "before_first_token"}, 1),
        ({"client_gone": True}, "cancelled_total", {"phase": "streaming"}, 1),
        ({"client_gone": True}, "cancelled_total", {"phase": "before_first_token"}, 0),
        ({}, "cancelled_total", {}, 0),
        ({"outcome": "failed"}, "interrupted_total", {}, 1),
        ({"outcome": "failed", "first_at": 0.0}, "interrupted_total", {}, 0),
        ({"stream": False}, "gen_ai_server_time_to_first_token_seconds_count", {}, 0),
        ({"chunks": 1, "completion_tokens": 1}, "gen_ai_server_time_per_output_token_seconds_count", {}, 0),
        ({}, "inter_token_gap_max_seconds_sum", {}, 0.06),
        ({}, "overhead_seconds_bucket", {"le": "0.0001"}, 0),
        ({}, "overhead_seconds_bucket", {"le": "0.0002"}, 1),
        ({}, "queue_time_seconds_sum", {}, 0.004),
        ({"first_at": 0.0}, "queue_time_seconds_count", {}, 0),
        ({}, "gen_ai_server_request_duration_seconds_sum", {"gen_ai_request_model": "tiny"}, 2.31),
        ({}, "gen_ai_server_request_duration_seconds_sum", {"error_type": "ignored"}, 0),
        ({"outcome": "ignored"}, "gen_ai_server_request_duration_seconds_sum", {"error_type": "ignored"}, 2.31),
        (
            {"kind": "completion"},
            "gen_ai_server_request_duration_seconds_count",
            {"gen_ai_operation_name": "text_completion", "gen_ai_provider_name": "snowshed"},
            1,
        ),
        ({}, "build_info", {"version": "1.2.3", "form": "interpreted"}, 1),
    ],
)
def test_a_record_is_counted_where_it_belongs(
    changes: dict[str, Any], name: str, labels: dict[str, str], expected: float
) -> None:
    assert value(folded(record(**changes)), name, **labels) == pytest.approx(expected)


@pytest.mark.parametrize(("chunks", "exact"), [(101, False), (101, True), (40, True)])
def test_p46_times_of_a_stream_are_within_five_per_cent(chunks: int, *, exact: bool) -> None:
    """P46: 300 ms to the first token and 20 ms between tokens, even where several tokens came as one chunk."""
    metrics = folded(*(record(chunks=chunks, usage_exact=exact) for _ in range(10)))
    first = "gen_ai_server_time_to_first_token_seconds"
    between = "gen_ai_server_time_per_output_token_seconds"
    assert value(metrics, f"{first}_sum") / value(metrics, f"{first}_count") == pytest.approx(0.3, rel=0.05)
    assert value(metrics, f"{between}_sum") / value(metrics, f"{between}_count") == pytest.approx(0.02, rel=0.05)


def test_p44_made_up_models_do_not_move_the_number_of_series() -> None:
    """P44: a record's model stays empty until the catalog knows it, so 10k made-up names are one series."""
    metrics = folded(record(), record(model="", outcome="ignored", code="model_not_found", first_at=0.0, attempts=0))
    before = series(metrics).keys()
    metrics.fold(
        [
            record(label=f"caller-{n}", model="", outcome="ignored", code="model_not_found", first_at=0.0, attempts=0)
            for n in range(10_000)
        ]
    )
    assert series(metrics).keys() == before


def test_p44_keys_and_tenants_do_not_move_the_number_of_series() -> None:
    """P44: who asked stands in the log; 10k keys of 10k tenants are no labels."""
    metrics = folded(record())
    before = series(metrics).keys()
    metrics.fold([record(tenant=f"tenant-{n}", key=f"key-{n}") for n in range(10_000)])
    assert series(metrics).keys() == before


def test_p44_even_a_careless_record_cannot_grow_the_series_without_end() -> None:
    """P44: a second line of defence: whatever stands in model and code, each has a cap."""
    metrics = folded(*(record(model=f"m{n}") for n in range(10_000)))
    assert value(metrics, "requests_total") == 10_000
    assert value(metrics, "requests_total", model="other", version="other") == 10_000 - MODELS
    metrics = folded(*(record(version=f"v{n}") for n in range(10_000)))
    assert value(metrics, "requests_total", version="other") == 10_000 - MODELS
    metrics = folded(*(record(code=f"c{n}", outcome="failed") for n in range(1000)))
    assert value(metrics, "requests_total", code="other") == 1000 - VALUES


def test_versions_that_take_turns_are_told_apart() -> None:
    metrics = folded(*(record(version=f"tiny@{1 + n % 2}") for n in range(10)))
    assert value(metrics, "requests_total", version="tiny@1") == 5
    assert value(metrics, "requests_total", version="tiny@2") == 5


def test_p32_a_code_that_is_no_code_is_not_a_label() -> None:
    """P32: a model server may put words of the prompt into its error code."""
    metrics = folded(record(outcome="ignored", code="Invalid: CANARY"), record(outcome="ignored", code="canary " * 20))
    assert value(metrics, "requests_total", code="other") == 2
    assert b"canary" not in metrics.render().lower()


def test_a_model_s_name_can_not_forge_a_series() -> None:
    name = 'a"} 7\nsnowshed_forged{x="\\'
    metrics = folded(record(model=name))
    assert value(metrics, "requests_total", model=name) == 1
    assert value(metrics, "gen_ai_client_token_usage_count", gen_ai_request_model=name) == 2
    assert value(metrics, "forged") == 0


def test_every_family_says_what_it_is() -> None:
    families = list(text_string_to_metric_families(folded(record()).render().decode()))
    assert not [family.name for family in families if family.type == "unknown" or not family.documentation]
    names = [family.name for family in families]
    assert len(names) == len(set(names))


def test_a_source_adds_its_families() -> None:
    metrics = Metrics("1", [lambda: family("gauge", "snowshed_mine", "Mine.", [('x="y"', 3)])])
    assert value(metrics, "mine", x="y") == 3


def test_gauges_show_what_was_set_last() -> None:
    metrics = Metrics("1")
    metrics.gauges(in_flight=3, loop_lag=0.5, records_lost=2, lines_lost=1)
    metrics.gauges(in_flight=4, loop_lag=0.25, records_lost=2, lines_lost=1)
    assert value(metrics, "in_flight") == 4
    assert value(metrics, "loop_lag_seconds") == 0.25
    assert value(metrics, "records_lost_total") == 2
    assert value(metrics, "log_lines_lost_total") == 1


def test_the_process_is_described_and_the_library_s_global_registry_left_alone() -> None:
    text = (Metrics("1").render() + Metrics("2").render()).decode()
    assert "process_resident_memory_bytes" in text
    assert "python_info" in text
    assert "python_gc_collections_total" in text
    assert not [family for family in REGISTRY.collect() if family.name.startswith("snowshed")]


def test_a_scrape_sees_whole_batches_while_others_are_folded() -> None:
    metrics = Metrics("1")
    batch = [record() for _ in range(50)]
    stop = threading.Event()
    seen: list[dict[str, float]] = []

    def scrape() -> None:
        while not stop.is_set():
            now = {name: number for (name, has), number in series(metrics).items() if ("le", "+Inf") in has or not has}
            now["requests"] = value(metrics, "requests_total")  # a second scrape: never less than the first
            seen.append(now)

    scraper = threading.Thread(target=scrape)
    scraper.start()
    while len(seen) < 5:
        metrics.fold(batch)
    stop.set()
    scraper.join()
    for now in seen:
        counts = {number for name, number in now.items() if name.endswith("_bucket")}
        assert len(counts) <= 1, "every histogram had seen the same records"
        assert all(count % len(batch) == 0 for count in counts)
        assert now["requests"] >= max(counts, default=0)
    assert [now["requests"] for now in seen] == sorted(now["requests"] for now in seen)


def test_folding_is_cheap() -> None:
    """2 µs a record where nothing else runs; ten times that is a fault."""
    metrics, batch = Metrics("1"), [record() for _ in range(2000)]
    costs = []
    for _ in range(5):
        start = time.thread_time()
        metrics.fold(batch)
        costs.append((time.thread_time() - start) / len(batch))
    assert min(costs) < 20e-6
