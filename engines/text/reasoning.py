"""What a model thought and what it says, told apart while it does: `<think>…</think>` at the beginning of an answer."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from engines.text.borders import begins_at

Told: TypeAlias = tuple[str, str]
"""Reasoning and content; either may be empty."""


class Reasoning:
    """Feeds one answer through.

    Only a marker that begins the answer opens a block: later ones are what the model talks about. `opened` says that
    the prompt ends with the opening marker already; a model that repeats it is understood too. White space around the
    reasoning, and between its end and the content, belongs to neither. A block that is never closed is all reasoning.
    Raises ValueError for an empty marker.
    """

    __slots__ = ("_closing", "_held", "_opened", "_opening", "_read")

    def __init__(self, opening: str = "<think>", closing: str = "</think>", *, opened: bool = False) -> None:
        if not opening or not closing:
            raise ValueError("a marker must not be empty")
        self._opening = opening
        self._closing = closing
        self._opened = opened
        self._held = ""
        self._read: Callable[[Reasoning, str], Told] | None = Reasoning._begin

    def __repr__(self) -> str:
        state = "in content" if self._read is None else f"to {self._read.__name__.strip('_')}"
        return f"<Reasoning {state}, {len(self._held)} characters held>"

    def feed(self, text: str) -> Told:
        """What can be told now. White space is held until something follows it, a marker until it is whole."""
        if self._read is None:
            return "", text
        if self._held:
            text, self._held = self._held + text, ""
        return self._read(self, text)

    def flush(self) -> Told:
        """The end: half a marker was text. White space that was waited behind is nothing, unless there is no more."""
        held, self._held = self._held, ""
        if self._read is Reasoning._begin:
            return (held.strip(), "") if self._opened else ("", held)
        return held.rstrip(), ""

    def _begin(self, text: str) -> Told:
        start = text.lstrip()
        if start.startswith(self._opening):
            return self._lead(start[len(self._opening) :])
        if self._opening.startswith(start):
            self._held = text
            return "", ""
        if self._opened:
            return self._lead(start)
        self._read = None
        return "", text

    def _lead(self, text: str) -> Told:
        thought = text.lstrip()
        self._read = Reasoning._think if thought else Reasoning._lead
        return self._think(thought) if thought else ("", "")

    def _think(self, text: str) -> Told:
        thought, found, after = text.partition(self._closing)
        if found:
            return thought.rstrip(), self._answer(after)[1]
        thought = text[: begins_at(text, self._closing)].rstrip()
        self._held = text[len(thought) :]
        return thought, ""

    def _answer(self, text: str) -> Told:
        content = text.lstrip()
        self._read = None if content else Reasoning._answer
        return "", content
