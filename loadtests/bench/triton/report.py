"""What a run against the replaying Triton found, as data and as a table."""

from __future__ import annotations

from statistics import median

import msgspec

from loadtests.bench.report import Origin, document, paired

ROWS = {
    "staggered": "CPU per token, streams each at its time, us",
    "aligned": "CPU per token, all streams at once, us",
    "opening": "CPU per stream of one token, us",
}


class Report(msgspec.Struct, frozen=True):
    """`cpu_us` is by load and by side, the bare reader and Snowshed over either transport: one of each repetition."""

    origin: Origin
    repetitions: int
    cpu_us: dict[str, dict[str, list[float]]]

    def ratio(self, load: str, transport: str) -> float:
        """To the bare reader."""
        return paired(self.cpu_us[load][transport], self.cpu_us[load]["bare"])

    def as_json(self) -> bytes:
        ratios = {load: {side: self.ratio(load, side) for side in sides} for load, sides in self.cpu_us.items()}
        return document(msgspec.to_builtins(self) | {"ratios": ratios})

    def table(self) -> str:
        """The figures for people."""
        lines = [f"{'':<45}{'bare':>8}{'http2':>9}{'ratio':>7}{'grpc':>9}{'ratio':>7}"]
        for load, sides in self.cpu_us.items():
            cells = "".join(f"{median(sides[side]):>9.1f}{self.ratio(load, side):>7.2f}" for side in ("http2", "grpc"))
            lines.append(f"{ROWS[load]:<45}{median(sides['bare']):>8.1f}{cells}")
        lines += [
            "",
            str(self.origin),
            f"medians of {self.repetitions} repetitions; bare: a reader over grpc.aio's stub that does nothing else",
        ]
        return "\n".join(lines)
