"""Stop strings, found across the borders of chunks: neither they nor a part of them is ever said."""

from __future__ import annotations

import re
from collections.abc import Sequence

from engines.text.borders import begins_at


class Stops:
    """Lets text through up to the stop string that is complete first, as a server does that looks after each token.

    Where two are complete at once the longer wins. `hit` is that string, after which nothing is said any more. Held
    back is the longest end of the text that could still become a stop string, and no more. Raises ValueError for an
    empty one, which would stop before the first word.
    """

    __slots__ = ("_held", "_may_begin", "_stops", "hit")

    def __init__(self, stops: Sequence[str]) -> None:
        if not all(stops):
            raise ValueError("a stop string must not be empty")
        self._stops = sorted(stops, key=len, reverse=True)
        firsts = re.escape("".join({stop[0] for stop in stops}))
        self._may_begin = re.compile(f"[{firsts}]" if firsts else "(?!)").search
        self._held = ""
        self.hit: str | None = None

    def __repr__(self) -> str:
        return f"<Stops {len(self._stops)} strings, {len(self._held)} characters held, hit {self.hit!r}>"

    def feed(self, text: str) -> str:
        """What can be said now."""
        if self.hit is not None:
            return ""
        if self._held:
            text = self._held + text
        elif self._may_begin(text) is None:
            return text
        end = len(text) + 1
        for stop in self._stops:
            found = text.find(stop) + len(stop)
            if len(stop) <= found < end:
                end, self.hit = found, stop
        if self.hit is not None:
            self._held = ""
            return text[: end - len(self.hit)]
        safe = min(begins_at(text, stop) for stop in self._stops)
        self._held = text[safe:]
        return text[:safe]

    def flush(self) -> str:
        """The end: what was held back after all was no stop string."""
        held, self._held = self._held, ""
        return held
