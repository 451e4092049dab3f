"""Calls as Llama 3 writes them: the whole answer is `{"name": …, "parameters": {…}}`, more of them behind a `;`."""

from __future__ import annotations

from engines.text.tools.api import NewId, Part
from engines.text.tools.json_calls import JsonCalls
from engines.text.tools.reading import Reading

TAG = "<|python_tag|>"


class Llama3(JsonCalls):
    """An answer that begins as anything but a call, with or without the tag, is text to its end."""

    __slots__ = ()

    def __init__(self, new_id: NewId) -> None:
        super().__init__(new_id, Llama3._start)

    def _start(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        rest = text[at : at + len(TAG)]
        if len(rest) < len(TAG) and TAG.startswith(rest):
            return self._hold(text, at)
        self._state = Llama3.closed
        if rest != TAG:
            return at
        self._gap.append(TAG)
        return at + len(TAG)

    def closed(self, text: str, at: int, out: list[Part]) -> int:
        """Before a call; `;` stands only behind another, and some models leave it out."""
        at = self._skip(text, at)
        char = text[at : at + 1]
        if char == ";" and self._count:
            self._gap.append(char)
            return at + 1
        if char == "{" and not self._full:
            self._start_call()
        elif char:
            self._state = Reading.rest
        return at

    def broke(self, text: str, at: int, out: list[Part]) -> int:
        self._state = Reading.rest
        return self.rest(text, at, out)
