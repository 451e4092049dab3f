"""The bars of `python -m loadtests.bench.triton`: what Snowshed may cost in front of Triton."""

from __future__ import annotations

import msgspec

from loadtests.bench.runner import Effort
from loadtests.bench.triton.runner import run
from loadtests.prove.evidence import Bar, Verdict

STRETCH = {"staggered": 0.6, "aligned": 0.9}


def prove() -> Verdict:
    """The whole of Snowshed costs less per token than a bare reader over grpc.aio that does nothing else."""
    report = run(Effort())
    bars = [
        Bar("CPU per token, each stream at its time, x bare", report.ratio("staggered", "http2"), 0.8),
        Bar("CPU per token, all streams at once, x bare", report.ratio("aligned", "http2"), 1.2),
        Bar("CPU per stream of one token, x bare", report.ratio("opening", "http2"), 0.5),
        Bar("over grpc.aio: CPU per token, each stream at its time, x bare", report.ratio("staggered", "grpc"), 1.4),
    ]
    stretch = {load: {"limit": limit, "met": report.ratio(load, "http2") <= limit} for load, limit in STRETCH.items()}
    return Verdict(bars, msgspec.json.decode(report.as_json()) | {"stretch": stretch})
