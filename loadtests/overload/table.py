"""Rows as one compares gateways by: goodput at each load, and what callers get at one of them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from loadtests.overload.load import Load
from loadtests.overload.tally import Tally

DETAIL = 5.0
"""The load of which more is told than its goodput, as a multiple of capacity."""


class Row:
    """One configuration under loads that are multiples of capacity, each with what was counted in its window.

    `capacity` is what the upstream can do, in answers a second.
    """

    def __init__(self, name: str, capacity: float) -> None:
        self.name = name
        self.capacity = capacity
        self.seen: dict[float, tuple[Load, Tally]] = {}

    def __repr__(self) -> str:
        return f"<Row {self.name}: {' '.join(f'{times:g}x' for times in self.seen)}>"

    def goodput(self, times: float) -> float:
        """Of capacity."""
        return self.seen[times][1].goodput / self.capacity

    def figures(self) -> dict[str, Any]:
        """As JSON can say it."""
        return {
            f"{times:g}x": {**one.figures(), "counts": msgspec.to_builtins(counts)}
            for times, (one, counts) in self.seen.items()
        }

    def cells(self, loads: Sequence[float]) -> list[str]:
        cells = [self.name]
        cells += [f"{self.goodput(times):.2f}" if times in self.seen else "" for times in loads]
        if DETAIL not in self.seen:
            return [*cells, "", ""]
        load, counts = self.seen[DETAIL]
        ok = f"{counts.ok_ms.p50:.0f}/{counts.ok_ms.p99:.0f}" if counts.ok_ms.p50 else "nothing in time"
        refusal = f"{counts.refusal_ms.p50:.1f}" if counts.refusal_ms.p50 else "-"
        return [*cells, f"{ok} · {refusal}", f"{load.work.wasted} of {load.work.calls}"]


def table(rows: Sequence[Row], loads: Sequence[float]) -> str:
    """In Markdown."""
    head = ["configuration", *(f"{times:g}x" for times in loads)]
    head += [f"at {DETAIL:g}x: ok p50/p99 ms · refusal p50 ms", f"upstream work wasted at {DETAIL:g}x"]
    lines = [head, ["---"] * len(head), *(row.cells(loads) for row in rows)]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)
