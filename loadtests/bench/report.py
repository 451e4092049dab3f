"""What a bench run found, as data and as a table."""

from __future__ import annotations

import datetime as dt
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from statistics import median

import msgspec


def paired(ours: Sequence[float], base: Sequence[float]) -> float:
    """The median of the repetitions' own ratios: a machine that drifts changes both of a pair alike."""
    return median(mine / other for mine, other in zip(ours, base, strict=True))


class Side(msgspec.Struct, frozen=True):
    """Medians of one proxy. CPU in microseconds of user and system time of its process tree."""

    unary_cpu_us: float
    unary_per_s: float
    unary_p50_ms: float
    unary_p99_ms: float
    token_cpu_us: float
    added_ttft_p50_ms: float  # over the time without a proxy
    added_ttft_p99_ms: float
    gap_p99_ms: float


class Ratios(msgspec.Struct, frozen=True):
    """CPU of Snowshed over that of raw; see `paired`."""

    unary: float
    token: float
    refusal: float  # to a unary request of raw
    late_refusal: float


class Origin(msgspec.Struct, frozen=True):
    """Where and when figures came from."""

    machine: str
    cores: int
    kernel: str
    python: str
    commit: str
    command: str
    date: str

    def __str__(self) -> str:
        return f"{self.machine}, {self.cores} cores, {self.kernel}, Python {self.python}, commit {self.commit}"


class Report(msgspec.Struct, frozen=True):
    """Everything of one run.

    `dropped` repetitions were disturbed by other processes and repeated; `disturbed` ones count, after too many tries.
    """

    origin: Origin
    repetitions: int
    dropped: int
    disturbed: int
    raw: Side
    snowshed: Side
    ratios: Ratios
    refusal_cpu_us: float
    late_refusal_cpu_us: float
    refusal_p50_ms: float
    ready_s: float
    rss_idle_mb: float
    rss_per_stream_kb: float
    form: str
    """Of the gateway's hot path: interpreted, compiled, or stale."""

    def as_json(self) -> bytes:
        return document(msgspec.to_builtins(self))

    def table(self) -> str:
        """The figures for people."""
        raw, ours, ratios = self.raw, self.snowshed, self.ratios
        rows: list[tuple[str, float | str, float | str, float | str]] = [
            ("", "raw", "snowshed", "ratio"),
            ("CPU per unary request, us", raw.unary_cpu_us, ours.unary_cpu_us, ratios.unary),
            ("CPU per streamed token, us", raw.token_cpu_us, ours.token_cpu_us, ratios.token),
            ("CPU per refusal by headers, us", "", self.refusal_cpu_us, ratios.refusal),
            ("CPU per refusal by body, us", "", self.late_refusal_cpu_us, ratios.late_refusal),
            ("unary requests per second", raw.unary_per_s, ours.unary_per_s, ""),
            ("unary latency p50, ms", raw.unary_p50_ms, ours.unary_p50_ms, ""),
            ("unary latency p99, ms", raw.unary_p99_ms, ours.unary_p99_ms, ""),
            ("refusal latency p50, ms", "", self.refusal_p50_ms, ""),
            ("added TTFT p50, ms", raw.added_ttft_p50_ms, ours.added_ttft_p50_ms, ""),
            ("added TTFT p99, ms", raw.added_ttft_p99_ms, ours.added_ttft_p99_ms, ""),
            ("inter-token gap p99, ms", raw.gap_p99_ms, ours.gap_p99_ms, ""),
            ("RSS idle, MB", "", self.rss_idle_mb, ""),
            ("RSS per stream, kB", "", self.rss_per_stream_kb, ""),
            ("ready after, s", "", self.ready_s, ""),
        ]
        lines = [f"{name:<31}{_cell(a):>12}{_cell(b):>12}{_cell(ratio):>9}" for name, a, b, ratio in rows]
        lines += [
            "",
            f"{self.origin}, hot path {self.form}",
            f"medians of {self.repetitions} repetitions; dropped as disturbed: {self.dropped}, kept: {self.disturbed}",
        ]
        return "\n".join(lines)


def _cell(value: float | str) -> str:
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 1000 else f"{value:.2f}"  # noqa: PLR2004 - four digits are enough


def document(value: object) -> bytes:
    """As JSON for people and files: indented, with four decimals at most."""
    return msgspec.json.format(msgspec.json.encode(_rounded(value))) + b"\n"


def _rounded(value: object) -> object:
    if isinstance(value, float):
        return round(value, 4)
    if isinstance(value, dict):
        return {key: _rounded(inner) for key, inner in value.items()}
    return [_rounded(inner) for inner in value] if isinstance(value, list) else value


def origin() -> Origin:
    """This machine, this checkout, this command."""
    return Origin(
        machine=_chip(),
        cores=os.cpu_count() or 1,
        kernel=f"{platform.system()} {platform.release()}",
        python=platform.python_version(),
        commit=_commit(),
        command=shlex.join([*invocation(), *sys.argv[1:]]),
        date=dt.datetime.now(dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ"),
    )


def invocation() -> list[str]:
    """How this program was called, but for its arguments."""
    spec = sys.modules["__main__"].__spec__
    return ["python", "-m", *([spec.name.removesuffix(".__main__")] if spec else sys.argv[:1])]


def _chip() -> str:
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.partition(":")[2].strip()
    return platform.machine()


def _commit() -> str:
    """Short hash, with `+` if tracked files differ from it; `unknown` outside a checkout."""
    command = ["git", "-C", str(Path(__file__).parent), "describe", "--always", "--dirty=+", "--exclude=*"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"
