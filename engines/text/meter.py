"""Counts what a rendering may still cost, in time and in text."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any


class LimitExceeded(Exception):
    """A template took too long or made too much text; the message goes on with "..., because ..."."""


@dataclass(slots=True, frozen=True)
class Limits:
    """Of one rendering: the seconds it may take, and the characters it may make, those on the way included."""

    seconds: float = 2.0
    characters: int = 64_000_000


class Meter:
    """What one rendering has left."""

    __slots__ = ("_clock", "_end", "_left")

    def __init__(self, limits: Limits, clock: Callable[[], float]) -> None:
        self._clock = clock
        self._end = clock() + limits.seconds
        self._left = limits.characters

    def __repr__(self) -> str:
        return f"<Meter {self._left} characters and {self._end - self._clock():.3f} s left>"

    def tick(self, characters: int) -> bool:
        """True, if there is time left, and room to make so many characters. Raises LimitExceeded."""
        self._left -= characters
        if self._left < 0:
            raise LimitExceeded("it makes too much text")
        if self._clock() > self._end:
            raise LimitExceeded("it takes too long")
        return True

    def concat(self, parts: tuple[Any, ...]) -> str:
        """The parts as one text."""
        texts = [part if isinstance(part, str) else str(part) for part in parts]
        self.tick(sum(map(len, texts)))
        return "".join(texts)
