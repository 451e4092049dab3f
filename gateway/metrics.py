"""The numbers of this process in Prometheus' text format, fed in batches from finished records."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from threading import Lock
from typing import Final

from prometheus_client import CollectorRegistry, GCCollector, PlatformCollector, ProcessCollector, generate_latest
from prometheus_client.exposition import CONTENT_TYPE_PLAIN_0_0_4

from gateway import compiled
from gateway.accounts import Record
from gateway.exposition import family, histogram, labels
from gateway.tallies import Histogram, Key, Tallies, Tally

CONTENT_TYPE: Final = CONTENT_TYPE_PLAIN_0_0_4

Source = Callable[[], Iterator[str]]
"""Gives the lines of whole families on each scrape, on the scrape's own thread: it may only read plain state."""
Tallied = Sequence[tuple[Key, Tally]]
ReadCounts = Callable[[Tally], Iterable[tuple[tuple[str, ...], int]]]
"""From a tally to (rest of the labels, value) per series."""
ReadSpreads = Callable[[Tally], Iterable[tuple[str, Histogram]]]
"""From a tally to (value of the further label, numbers) per series."""

_COUNTERS: Final[tuple[tuple[str, str, tuple[str, ...], ReadCounts], ...]] = (
    ("requests", "Finished requests by outcome and error code as sent.", ("outcome", "code"),
     lambda tally: (((outcome, code), n) for outcome, ended in tally.ended.items() for code, n in ended.codes.items())),
    ("failovers", "Calls to a further replica, after one had failed a request.", (),
     lambda tally: (((), tally.failovers),)),
    ("fallbacks", "Requests that another model was asked for, by the trouble of the one before.", ("reason",),
     lambda tally: (((trouble,), n) for trouble, n in tally.fallbacks.items())),
    ("cancelled", "Requests whose client left before the end.", ("phase",),
     lambda tally: ((("before_first_token",), tally.left_early), (("streaming",), tally.left_streaming))),
    ("interrupted", "Answers that broke after their first content.", (), lambda tally: (((), tally.interrupted),)),
    ("capped", "Answers with a lower token cap than asked for, as limits had no more left; cut: ended by the gateway.",
     ("cut",), lambda tally: ((("false",), tally.capped), (("true",), tally.cut))),
)  # fmt: skip
_HISTOGRAMS: Final[tuple[tuple[str, str, Callable[[Tally], Histogram]], ...]] = (
    ("inter_token_gap_max_seconds", "Longest silence after the first content, one observation per stream.",
     lambda tally: tally.largest_gap),
    ("overhead_seconds", "The gateway's own share of the time to the first content.", lambda tally: tally.overhead),
    ("queue_time_seconds", "Waiting for a place at a model server, if it answered.", lambda tally: tally.queued),
)  # fmt: skip
_GEN_AI: Final[tuple[tuple[str, str, str, ReadSpreads], ...]] = (
    ("server_request_duration_seconds", "From a request's headers to the end of its answer.", "error_type",
     lambda tally: (("" if outcome == "success" else outcome, ended.durations)
                    for outcome, ended in tally.ended.items())),
    ("server_time_to_first_token_seconds", "From a request's headers to the first content for the client (streams).",
     "", lambda tally: (("", tally.first_token),)),
    ("server_time_per_output_token_seconds", "Mean time per token after the first, one observation per stream.",
     "", lambda tally: (("", tally.token_gap),)),
    ("client_token_usage", "Tokens of prompts and answers, as the model server counted them or, failing that, we did.",
     "gen_ai_token_type", lambda tally: (("input", tally.input), ("output", tally.output))),
)  # fmt: skip
_OPERATIONS: Final = {"chat": "chat", "completion": "text_completion", "embedding": "embeddings"}
"""OpenTelemetry's names of our kinds."""


class Metrics:
    """Folds records into series and renders them; `fold` and `gauges` belong to one thread, `render` to any.

    Labels hold only what we chose ourselves: kinds, catalog models and versions (`none` before one was found), codes of
    the error table; and each has a cap, so no input can grow the number of series. `sources` add families of their own.
    """

    def __init__(self, version: str, sources: Sequence[Source] = ()) -> None:
        self._version = version
        self._sources = sources
        self._tallies = Tallies()
        self._gauges: tuple[int, float, int, int] = (0, 0.0, 0, 0)
        self._lock = Lock()  # held for a batch or a copy of the numbers, never while rendering
        self._registry = CollectorRegistry()
        ProcessCollector(registry=self._registry)
        PlatformCollector(registry=self._registry)
        GCCollector(registry=self._registry)

    def __repr__(self) -> str:
        return f"<Metrics {self._tallies!r}>"

    def fold(self, records: Sequence[Record]) -> None:
        """Count finished requests. A scrape sees all of a batch or nothing of it."""
        with self._lock:
            self._tallies.add(records)

    def gauges(self, *, in_flight: int, loop_lag: float, records_lost: int, lines_lost: int) -> None:
        """Set what is read rather than counted; `loop_lag` in seconds, the lost ones since the start."""
        self._gauges = (in_flight, loop_lag, records_lost, lines_lost)

    def render(self) -> bytes:
        """The exposition; its content type is `CONTENT_TYPE`."""
        return "".join(self._lines()).encode() + generate_latest(self._registry)

    def _lines(self) -> Iterator[str]:
        with self._lock:
            tallied = list(self._tallies.copy().items())
        yield from self._process()
        yield from _ours(tallied)
        yield from _gen_ai(tallied)
        for source in self._sources:
            yield from source()

    def _process(self) -> Iterator[str]:
        in_flight, loop_lag, records_lost, lines_lost = self._gauges
        build = labels(("version", "form"), (self._version, compiled.form()))
        yield from family("gauge", "snowshed_build_info", "Always 1; the labels say what runs.", [(build, 1)])
        yield from family("gauge", "snowshed_in_flight", "Requests between headers and end.", [("", in_flight)])
        lag = "Worst lateness of the event loop in the last 15 to 30 s."
        yield from family("gauge", "snowshed_loop_lag_seconds", lag, [("", loop_lag)])
        dropped = "Records dropped before they were counted."
        yield from family("counter", "snowshed_records_lost_total", dropped, [("", records_lost)])
        unread = "Request log lines nobody read in time."
        yield from family("counter", "snowshed_log_lines_lost_total", unread, [("", lines_lost)])


def _ours(tallied: Tallied) -> Iterator[str]:
    """What OpenTelemetry has no name for, by kind, model and version."""
    names = ("kind", "model", "version")
    for name, text, further, read_counts in _COUNTERS:
        all_names = (*names, *further)
        counts = (
            (labels(all_names, (*key, *rest)), count) for key, tally in tallied for rest, count in read_counts(tally)
        )
        yield from family("counter", f"snowshed_{name}_total", text, counts)
    series = [(labels(names, key), tally) for key, tally in tallied]
    for name, text, read in _HISTOGRAMS:
        yield from histogram(f"snowshed_{name}", text, ((between, read(tally)) for between, tally in series))


def _gen_ai(tallied: Tallied) -> Iterator[str]:
    """What OpenTelemetry has a name for, under that name and with its labels."""
    names = ("gen_ai_operation_name", "gen_ai_provider_name", "gen_ai_request_model", "gen_ai_response_model")
    series = [
        (labels(names, (_OPERATIONS.get(kind, kind), "snowshed", model, version)), tally)
        for (kind, model, version), tally in tallied
    ]
    for name, text, further, read_spreads in _GEN_AI:
        spreads = (
            (f'{between},{further}="{value}"' if value else between, spread)
            for between, tally in series
            for value, spread in read_spreads(tally)
        )
        yield from histogram(f"gen_ai_{name}", text, spreads)
