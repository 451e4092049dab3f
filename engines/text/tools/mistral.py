"""Calls as Mistral writes them: `[TOOL_CALLS] [{"name": …, "arguments": {…}}, …]` or `[TOOL_CALLS]name[ARGS]{…}`."""

from __future__ import annotations

import re

from engines.text.tools.api import CallArguments, NewId, Part
from engines.text.tools.json_calls import Marked
from engines.text.tools.json_scan import JsonScan, Matches

MAX_HEAD = 512
"""Characters between the marker and the arguments."""

_head_run: Matches = re.compile(r"[\w.\-\[\]\s]*").match  # type: ignore[assignment]
_head = re.compile(r"\s*([\w.\-]+)\s*(?:\[CALL_ID\]\s*\w+\s*)?(?:\[ARGS\]\s*)?").fullmatch


class Mistral(Marked):
    """The second form may carry `[CALL_ID]…` before `[ARGS]`, which is skipped, and leave `[ARGS]` out."""

    __slots__ = ("_arguments", "_head")

    marker = "[TOOL_CALLS]"

    def __init__(self, new_id: NewId) -> None:
        super().__init__(new_id)
        self._head = ""
        self._arguments = JsonScan()

    def opened(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        if at == len(text):
            return at
        if text[at] == "[":
            self._gap.append("[")
            self._state = Mistral._item
            return at + 1
        self._head = ""
        self._state = Mistral._name
        return at

    def _item(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        if at < len(text):
            if text[at] == "{" and not self._full:
                self._start_call()
            else:
                self._state = Marked.broke
        return at

    def closed(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        char = text[at : at + 1]
        if char == ",":
            self._gap.append(char)
            self._state = Mistral._item
            return at + 1
        if char == "]":
            self._gap = []
            self._spoke = False
            self._state = Marked.text
            return at + 1
        if char:
            self._state = Marked.broke
        return at

    def _name(self, text: str, at: int, out: list[Part]) -> int:
        end = _head_run(text, at, at + MAX_HEAD - len(self._head)).end()
        self._head += text[at:end]
        self._gap.append(text[at:end])
        if end == len(text) and len(self._head) < MAX_HEAD:
            return end
        head = _head(self._head)
        if head is None or len(self._head) == MAX_HEAD or text[end] != "{":
            self._state = Marked.broke
            return end
        self._gap = []
        out.append(self._begin(head[1]))
        self._arguments = JsonScan()
        self._state = Mistral._read_arguments
        return end

    def _read_arguments(self, text: str, at: int, out: list[Part]) -> int:
        end = self._arguments.scan(text, at)
        if end > at:
            out.append(CallArguments(self._count - 1, text[at:end]))
        if self._arguments.done:
            self._spoke = False
            self._state = Marked.text
        elif self._arguments.broken:
            self._state = Marked.broke
        return end
