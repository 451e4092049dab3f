"""The bars of `python -m loadtests.bench`: what Snowshed may cost."""

from __future__ import annotations

import msgspec

from loadtests.bench.runner import Effort, run
from loadtests.prove.evidence import Bar, Verdict


def prove() -> Verdict:
    """Snowshed in its default configuration costs a small multiple of a proxy that protects from nothing."""
    report = run(Effort())
    bars = [
        Bar("CPU per unary request, x raw", report.ratios.unary, 3.0),
        Bar("CPU per streamed token at 256 streams, x raw", report.ratios.token, 1.6),
        Bar("added TTFT p50 at 256 streams, ms", report.snowshed.added_ttft_p50_ms, 1.0),
        Bar("CPU per refusal by the headers, x raw unary", report.ratios.refusal, 1.5),
        Bar("RSS idle without engine child, MB", report.rss_idle_mb, 70.0),
        Bar("RSS per stream, kB", report.rss_per_stream_kb, 40.0),
        Bar("ready without engine child, s", report.ready_s, 1.5),
    ]
    return Verdict(bars, msgspec.json.decode(report.as_json()))
