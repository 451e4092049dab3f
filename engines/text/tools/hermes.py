"""Calls as Hermes and Qwen models write them: `<tool_call>{"name": …, "arguments": {…}}</tool_call>` amid text."""

from __future__ import annotations

from engines.text.tools.api import Part
from engines.text.tools.json_calls import Marked

CLOSING = "</tool_call>"


class Hermes(Marked):
    """The closing tag may be missing; what stands in its place is text."""

    __slots__ = ()

    marker = "<tool_call>"

    def opened(self, text: str, at: int, out: list[Part]) -> int:
        self._start_call()
        return at

    def closed(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        rest = text[at : at + len(CLOSING)]
        if len(rest) < len(CLOSING) and CLOSING.startswith(rest):
            return self._hold(text, at)
        self._spoke = False
        self._state = Marked.text
        if rest != CLOSING:
            return at
        self._gap = []
        return at + len(CLOSING)
