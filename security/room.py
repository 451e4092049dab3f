"""Room in what is remembered: it has a bound, and the oldest go first."""

from __future__ import annotations

from typing import Any


def make_room(entries: dict[bytes, Any], most: int) -> None:
    """For one more, in a dict that is filled in the order of age."""
    if len(entries) >= most:
        del entries[next(iter(entries))]
