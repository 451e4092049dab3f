"""What all parsers of tool calls share: going through the text from state to state, and numbering the calls."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any, TypeAlias

from engines.text.tools.api import MAX_CALLS, MAX_HELD, CallBegun, NewId, Part, Said
from engines.text.tools.json_scan import Matches

State: TypeAlias = Callable[[Any, str, int, list[Part]], int]
"""Reads on from a place, adds what it found, and returns the place to go on from: the end of the text, if it waits."""

MAX_PIECE = MAX_HELD // 4
"""Characters read at once: a limit may cut what is read short, and that must not cost as much as the whole answer."""

_space: Matches = re.compile(r"\s*").match  # type: ignore[assignment]


class Reading:
    """`_state` reads; what it may not decide yet it leaves in `_held`, to see it again with more text behind it.

    `_gap` collects what belongs to the format if a call follows, and is text otherwise.
    """

    __slots__ = ("_count", "_gap", "_held", "_new_id", "_state")

    def __init__(self, new_id: NewId, state: State) -> None:
        self._new_id = new_id
        self._count = 0
        self._state = state
        self._held = ""
        self._gap: list[str] = []

    def __repr__(self) -> str:
        state = getattr(self._state, "__name__", "").strip("_")
        return f"<{type(self).__name__} at {state}, {self._count} calls, {len(self._held)} characters held>"

    def feed(self, text: str) -> list[Part]:
        out: list[Part] = []
        for start in range(0, len(text), MAX_PIECE):
            piece = text[start : start + MAX_PIECE]
            if self._held:
                piece, self._held = self._held + piece, ""
            at = 0
            while at < len(piece):
                at = self._state(self, piece, at, out)
        return out

    def finish(self) -> list[Part]:
        out: list[Part] = []
        if self._count and not self._held and "".join(self._gap).isspace():
            self._gap = []
        self._say(self._held, out)
        self._held = ""
        return out

    @property
    def _full(self) -> bool:
        return self._count >= MAX_CALLS

    def _say(self, text: str, out: list[Part]) -> None:
        """The gap was text, and so is this."""
        if self._gap:
            text = "".join(self._gap) + text
            self._gap = []
        if text:
            out.append(Said(text))

    def _begin(self, name: str) -> CallBegun:
        begun = CallBegun(self._count, self._new_id(), name)
        self._count += 1
        return begun

    def _skip(self, text: str, at: int) -> int:
        """Past white space, which goes into the gap."""
        end = _space(text, at).end()
        if end > at:
            self._gap.append(text[at:end])
        return end

    def _hold(self, text: str, at: int) -> int:
        self._held = text[at:]
        return len(text)

    def rest(self, text: str, at: int, out: list[Part]) -> int:
        """No call can come any more."""
        self._say(text[at:], out)
        return len(text)
