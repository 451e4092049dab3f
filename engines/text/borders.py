"""Where text that comes in pieces can be cut, so that no marker is torn."""

from __future__ import annotations


def begins_at(text: str, marker: str) -> int:
    """Where the longest end of `text` begins that could be the beginning of `marker`; `len(text)` if none could.

    A whole marker is not looked for. Whoever holds back what this finds, and asks again with more text behind it,
    pays in all one test for each first character of the marker, and one for each time.
    """
    first = marker[0]
    at = text.find(first, max(0, len(text) - len(marker) + 1))
    while at >= 0:
        if marker.startswith(text[at:]):
            return at
        at = text.find(first, at + 1)
    return len(text)
