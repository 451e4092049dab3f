"""The numbers of this process in Prometheus' text format, fed in batches from finished records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from itertools import accumulate
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, HistogramMetricFamily, Metric
from prometheus_client.registry import Collector

from gateway.accounts import Record
from gateway.tallies import Histogram, Tallies, Tally

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

ReadCounts = Callable[[Tally], Iterable[tuple[tuple[str, ...], int]]]
"""From a tally to (rest of the labels, value) per series."""

_COUNTERS: Final[tuple[tuple[str, str, tuple[str, ...], ReadCounts], ...]] = (
    ("requests", "Finished requests by outcome and error code as sent.", ("outcome", "code"),
     lambda tally: tally.requests.items()),
    ("tokens", "Tokens in (prompts) and out (answers), as the model server counted them or, failing that, estimated.",
     ("direction",), lambda tally: ((("input",), tally.input), (("output",), tally.output))),
    ("upstream_attempts", "Calls to model servers, fail-overs included.", (), lambda tally: (((), tally.attempts),)),
    ("upstream_requests", "Requests that reached a model server, by the replica that was called last.", ("replica",),
     lambda tally: (((replica,), count) for replica, count in tally.replicas.items())),
    ("cancelled", "Requests whose client left before the end.", ("phase",),
     lambda tally: ((("before_first_token",), tally.left_early), (("streaming",), tally.left_streaming))),
    ("interrupted", "Answers that broke after their first content.", (), lambda tally: (((), tally.interrupted),)),
)  # fmt: skip
_HISTOGRAMS: Final[tuple[tuple[str, str, Callable[[Tally], Histogram]], ...]] = (
    ("time_to_first_token_seconds", "From a request's headers to the first content for the client (streams).",
     lambda tally: tally.first_token),
    ("time_per_output_token_seconds", "Mean time per token after the first, one observation per stream.",
     lambda tally: tally.token_gap),
    ("inter_token_gap_max_seconds", "Longest silence after the first content, one observation per stream.",
     lambda tally: tally.largest_gap),
    ("overhead_seconds", "The gateway's own share of the time to the first content.", lambda tally: tally.overhead),
    ("queue_time_seconds", "Waiting for a place at a model server, if it answered.", lambda tally: tally.queued),
)  # fmt: skip
_LABELS: Final = ("kind", "model")


class Metrics(Collector):
    """Folds records into series and renders them; `fold` and `gauges` belong to one thread, `render` to any.

    Labels hold only what we chose ourselves: kinds, catalog models (`none` before one was found), replicas from the
    configuration, codes of the error table; and each has a cap, so no input can grow the number of series.
    """

    def __init__(self, version: str) -> None:
        self._version = version
        self._tallies = Tallies()
        self._gauges: tuple[int, float, int, int] = (0, 0.0, 0, 0)
        self._lock = Lock()  # held for a batch or a copy of the numbers, never while rendering
        self._registry = CollectorRegistry()
        self._registry.register(self)
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def __repr__(self) -> str:
        return f"<Metrics {self._tallies!r}>"

    def fold(self, records: Iterable[Record]) -> None:
        """Count finished requests. A scrape sees all of a batch or nothing of it."""
        with self._lock:
            for record in records:
                self._tallies.add(record)

    def gauges(self, *, in_flight: int, loop_lag: float, records_lost: int, lines_lost: int) -> None:
        """Set what is read rather than counted; `loop_lag` in seconds, the lost ones since the start."""
        self._gauges = (in_flight, loop_lag, records_lost, lines_lost)

    def render(self) -> bytes:
        """The exposition; its content type is `CONTENT_TYPE`."""
        return generate_latest(self._registry)

    def collect(self) -> Iterator[Metric]:
        """What the registry asks for on a scrape."""
        with self._lock:
            tallies = self._tallies.copy()
        yield from self._process()
        for name, text, labels, read_series in _COUNTERS:
            counter = CounterMetricFamily(f"snowshed_{name}", text, labels=(*_LABELS, *labels))
            for key, tally in tallies.items():
                for rest, value in read_series(tally):
                    counter.add_metric((*key, *rest), value)
            yield counter
        for name, text, read in _HISTOGRAMS:
            histogram = HistogramMetricFamily(f"snowshed_{name}", text, labels=_LABELS)
            for key, tally in tallies.items():
                _add(histogram, key, read(tally))
            yield histogram
        durations = HistogramMetricFamily(
            "snowshed_request_duration_seconds",
            "From a request's headers to the end of its answer.",
            labels=(*_LABELS, "outcome"),
        )
        for key, tally in tallies.items():
            for outcome, spread in tally.durations.items():
                _add(durations, (*key, outcome), spread)
        yield durations

    def _process(self) -> Iterator[Metric]:
        in_flight, loop_lag, records_lost, lines_lost = self._gauges
        yield GaugeMetricFamily("snowshed_in_flight", "Requests between headers and end.", in_flight)
        yield GaugeMetricFamily(
            "snowshed_loop_lag_seconds", "Worst lateness of the event loop in the last 15 to 30 s.", loop_lag
        )
        yield CounterMetricFamily("snowshed_records_lost", "Records dropped before they were counted.", records_lost)
        yield CounterMetricFamily("snowshed_log_lines_lost", "Request log lines nobody read in time.", lines_lost)
        build = GaugeMetricFamily("snowshed_build_info", "Always 1; the label says what runs.", labels=("version",))
        build.add_metric((self._version,), 1)
        yield build


def _add(family: HistogramMetricFamily, labels: tuple[str, ...], histogram: Histogram) -> None:
    bounds = (*(str(bound) for bound in histogram.bounds), "+Inf")
    family.add_metric(labels, tuple(zip(bounds, accumulate(histogram.counts), strict=True)), histogram.sum)
