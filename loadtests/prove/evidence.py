"""What a proof hands in: figures, each with its bar, and the file they end up in."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from loadtests.bench.report import document, origin

FOLDER = Path(__file__).parents[2] / "docs" / "evidence"


@dataclass(frozen=True)
class Bar:
    """A figure that has to be at most `limit`, or exactly `limit` if `exact`."""

    what: str
    value: float
    limit: float
    exact: bool = False

    @property
    def passed(self) -> bool:
        return self.value == self.limit if self.exact else self.value <= self.limit

    def line(self) -> str:
        sign = "=" if self.exact else "<="
        return f"  {'ok  ' if self.passed else 'FAIL'} {self.what}: {self.value:.4g} ({sign} {self.limit:g})"


@dataclass(frozen=True)
class Verdict:
    """The outcome of one proof; `figures` is everything else worth keeping, as JSON can say it."""

    bars: list[Bar]
    figures: dict[str, Any]

    @property
    def passed(self) -> bool:
        return all(bar.passed for bar in self.bars)


def keep(name: str, claim: str, verdict: Verdict) -> Path:
    """Write docs/evidence/NAME.json."""
    bars = [
        {"what": bar.what, "value": bar.value, "limit": bar.limit, "exact": bar.exact, "passed": bar.passed}
        for bar in verdict.bars
    ]
    evidence = {
        "proof": name,
        "claim": claim,
        "passed": verdict.passed,
        "origin": msgspec.to_builtins(origin()),
        "bars": bars,
        "figures": verdict.figures,
    }
    FOLDER.mkdir(parents=True, exist_ok=True)
    path = FOLDER / f"{name}.json"
    path.write_bytes(document(evidence))
    return path
