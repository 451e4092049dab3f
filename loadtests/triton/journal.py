"""What each model was asked and how that ended: lines of JSON that the models append and tests read.

An ensemble is no model of its own: what came to it stands in the entries of its parts, under the same request id.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal

import msgspec

Outcome = Literal["finished", "cancelled", "stopped", "failed"]
"""`cancelled` by the client's gRPC call, `stopped` by a request with the tensor `stop`, `failed` with an error."""


class Entry(msgspec.Struct, frozen=True, kw_only=True):
    """One line. A request has one without outcome when it begins, and one with its outcome when it ends.

    `at`: seconds of the machine's monotonic clock. `inputs`: every tensor that came, with its flat values (bytes as
    text, what is no UTF-8 replaced) and `shapes` likewise. `outputs`: the names that were asked for.
    """

    model: str
    number: int
    at: float
    id: str = ""
    inputs: dict[str, list[Any]] = {}
    shapes: dict[str, list[int]] = {}
    outputs: list[str] = []
    parameters: dict[str, Any] = {}
    outcome: Outcome | None = None
    tokens: int = 0


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Entry).decode


def write(path: Path, entry: Entry) -> None:
    """Append in one write, so that several processes may do it at once."""
    with path.open("ab", buffering=0) as file:
        file.write(_encode(entry) + b"\n")


def read(path: Path) -> list[Entry]:
    """All that was written; empty if nothing was yet. A line that is still being written is left out."""
    if not path.exists():
        return []
    return [_decode(line) for line in path.read_bytes().split(b"\n")[:-1]]
