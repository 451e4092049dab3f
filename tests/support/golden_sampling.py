"""The golden table of tests/golden/tensorrt_llm.yaml: requests, what each becomes, and its page in the guide."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import yaml

from engines.api import Kind
from tests.architecture.tree import ROOT
from tests.support.guide_tables import write_guide

GUIDE = ROOT / "docs" / "guides" / "tensorrt-llm.md"
TABLE: dict[str, Any] = yaml.safe_load((ROOT / "tests" / "golden" / "tensorrt_llm.yaml").read_text())
SEED: int = TABLE["always"]["seed"]
_DRAWN = ("temperature", "top_p", "seed")


class Row(NamedTuple):
    """What the members `ask` become: fields and a guide, or a refusal (param, code)."""

    kind: Kind
    ask: dict[str, Any]
    fields: dict[str, Any]
    guide: tuple[str, Any] | None
    refusal: tuple[str, str] | None


def rows() -> Iterator[tuple[str, Row]]:
    """Every row of the table, named."""
    for row in TABLE["rows"]:
        yield row["parameter"], _row(row)


def rendered() -> str:
    """What has to stand in the guide."""
    lines = ["", "| parameter | `SamplingParams` |", "|---|---|"]
    lines += [f"| {row['parameter']} | {_words(row)} |" for row in TABLE["rows"]]
    return "\n".join([*lines, "", ""])


def _row(row: dict[str, Any]) -> Row:
    refused = row.get("refused")
    refusal = None
    if refused is not None:
        refusal = (refused, "unsupported_parameter") if isinstance(refused, str) else (refused[0], refused[1])
    drawn = {name: value for name, value in TABLE["always"].items() if name not in _DRAWN or not row.get("greedy")}
    guide = (row["guide"][0], row["guide"][1]) if "guide" in row else None
    return Row(row.get("kind", "chat"), row["ask"], drawn | row.get("sends", {}), guide, refusal)


def _words(row: dict[str, Any]) -> str:
    if "refused" in row:
        return "400"
    if "guide" in row:
        return f"`guided_decoding.{row['guide'][0]}`, where a backend for it is configured; else 400"
    return ", ".join(f"`{name}`" for name in row.get("sends", {})) or row["else"]


if __name__ == "__main__":
    write_guide(GUIDE, rendered())
