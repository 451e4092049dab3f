"""Reading a file that somebody may be writing to: the last line counts once all of it is there.

A read may fall into the middle of a write: what is seen of it need not end where a line does.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any


def whole_lines(file: Path) -> list[str]:
    """Its lines so far, without their ends."""
    return [line.decode() for line in file.read_bytes().split(b"\n")[:-1]]


def written(log: Path) -> list[Any]:
    """What the JSON lines of a log say so far."""
    return [json.loads(line) for line in whole_lines(log)]
