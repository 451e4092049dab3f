"""What a look at one thing found, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Finding:
    """`wrong` keeps the gateway from working; a `note` is worth knowing. `todo` is for people, "" if there is none."""

    level: Literal["ok", "note", "wrong"]
    subject: str
    what: str
    todo: str = ""
