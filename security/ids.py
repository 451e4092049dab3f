"""Ids of principals that have no key of ours: what somebody else calls them, in characters that fit everywhere."""

from __future__ import annotations

from typing import Final
from urllib.parse import quote

LONGEST: Final = 128
SAFE: Final = "!$&'()*+,/:;=?@|"
"""Kept of a name as they are, besides letters, digits and -._~; all others are percent-encoded."""


def outside_id(kind: str, name: str) -> str | None:
    """`kind:name`, another one for each name; None for a name that is empty, or too long."""
    made = f"{kind}:{quote(name, safe=SAFE, errors='surrogatepass')}"
    return made if name and len(made) <= LONGEST else None
