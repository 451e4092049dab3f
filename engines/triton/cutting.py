"""Ends a text at its cap where the server can't be told one: counts its tokens as they come, cuts the last piece."""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable

Measure = Callable[[str], int | None]
"""Tells how many tokens a text is; None where that is not known, or takes too long."""

SLICE = 4096
"""Characters that are measured at a time: of a text far beyond its cap the rest need not be."""


class Cut:
    """What there is room for, in tokens. Without a tokenizer each answer of the server counts as one."""

    __slots__ = ("_left", "_measure")

    def __init__(self, cap: int, measure: Measure) -> None:
        self._left = cap
        self._measure = measure

    def __repr__(self) -> str:
        return f"<Cut, {self._left} tokens left>"

    @property
    def full(self) -> bool:
        return self._left <= 0

    def take(self, text: str, told: int | None) -> tuple[str, int]:
        """As much of a piece as there is room for, and its tokens. `told` is how many the server says the piece has."""
        if told is not None and told <= self._left:
            self._left -= told
            return text, told
        before, fitting = self._left, []
        for start in range(0, len(text), SLICE):
            piece = text[start : start + SLICE]
            tokens = self._measure(piece)
            if tokens is None:
                self._left -= 1
                fitting = [text]
                break
            fitting.append(piece if tokens <= self._left else self._beginning(piece))
            self._left -= tokens
            if self.full:
                break
        self._left = max(self._left, 0) if told is None else 0
        return "".join(fitting), before - self._left

    def _beginning(self, piece: str) -> str:
        """The longest that has no more tokens than are left; a longer text may have fewer, but hardly ever has."""
        return piece[: bisect_right(range(1, len(piece)), self._left, key=lambda end: self._measure(piece[:end]) or 0)]
