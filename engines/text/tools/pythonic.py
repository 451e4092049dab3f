"""Calls written as Python: the whole answer is `[f(a=1, b="x"), g()]`; what a client gets is JSON."""

from __future__ import annotations

import re

from engines.text.tools.api import CallArguments, NewId, Part
from engines.text.tools.json_scan import Matches
from engines.text.tools.python_scan import PythonScan
from engines.text.tools.reading import Reading, State

MAX_NAME = 256
"""Characters of the name of a function or an argument."""

_name_run: Matches = re.compile(r"[\w.]*").match  # type: ignore[assignment]
_function = re.compile(r"[^\W\d]\w*(?:\.[^\W\d]\w*)*").fullmatch


class Pythonic(Reading):
    """Arguments have names, and literals as values. An answer that is anything else is text to its end.

    A call has begun with its first `name=`, or with its `)` where it has no arguments.
    """

    __slots__ = ("_begun", "_function", "_names", "_scan", "_word")

    def __init__(self, new_id: NewId) -> None:
        super().__init__(new_id, Pythonic._start)
        self._word = ""
        self._function = ""
        self._begun = False
        self._names: set[str] = set()
        self._scan = PythonScan()

    def _take(self, char: str, state: State, at: int) -> int:
        self._gap.append(char)
        self._word = ""
        self._state = state
        return at + 1

    def _give_up(self, at: int) -> int:
        self._state = Reading.rest
        return at

    def _start(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        if text[at : at + 1] == "[":
            return self._take("[", Pythonic._call, at)
        return self._give_up(at) if at < len(text) else at

    def _read_word(self, text: str, at: int) -> int:
        """Into `_word`, and the gap; it may go on if this returns the length of the text, unless it is too long."""
        if not self._word:
            at = self._skip(text, at)
        end = _name_run(text, at, at + MAX_NAME - len(self._word)).end()
        self._word += text[at:end]
        self._gap.append(text[at:end])
        return end

    def _call(self, text: str, at: int, out: list[Part]) -> int:
        at = self._read_word(text, at)
        if at == len(text) and len(self._word) < MAX_NAME:
            return at
        char = text[at] if len(self._word) < MAX_NAME else ""
        if char == "(" and _function(self._word) and not self._full:
            self._function = self._word
            self._begun = False
            self._names = set()
            return self._take(char, Pythonic._argument, at)
        if char == "]" and not self._word and self._count:
            return self._end_list(at)
        return self._give_up(at)

    def _argument(self, text: str, at: int, out: list[Part]) -> int:
        at = self._read_word(text, at)
        if at == len(text) and len(self._word) < MAX_NAME:
            return at
        if not self._word and text[at] == ")":
            return self._end_call(at, out)
        if not self._word.isidentifier() or self._word in self._names or len(self._word) == MAX_NAME:
            return self._give_up(at)
        self._state = Pythonic._equals
        return at

    def _equals(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        if text[at : at + 1] != "=":
            return self._give_up(at) if at < len(text) else at
        self._names.add(self._word)
        before = ", " if self._begun else "{"
        self._begin_call(out)
        self._tell(f'{before}"{self._word}": ', out)
        self._scan = PythonScan()
        self._state = Pythonic._value
        return at + 1

    def _begin_call(self, out: list[Part]) -> None:
        self._gap = []
        if not self._begun:
            self._begun = True
            out.append(self._begin(self._function))

    def _tell(self, fragment: str, out: list[Part]) -> None:
        out.append(CallArguments(self._count - 1, fragment))

    def _value(self, text: str, at: int, out: list[Part]) -> int:
        pieces: list[str] = []
        at = self._scan.scan(text, at, pieces)
        if pieces:
            self._tell("".join(pieces), out)
        if self._scan.broken:
            self._gap.append(self._scan.unsaid)
            return self._give_up(at)
        if self._scan.done:
            self._state = Pythonic._after_value
        return at

    def _after_value(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        char = text[at : at + 1]
        if char == ",":
            return self._take(char, Pythonic._argument, at)
        if char == ")":
            return self._end_call(at, out)
        return self._give_up(at) if char else at

    def _end_call(self, at: int, out: list[Part]) -> int:
        before = "" if self._begun else "{"
        self._begin_call(out)
        self._tell(before + "}", out)
        self._state = Pythonic._after_call
        return at + 1

    def _after_call(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        char = text[at : at + 1]
        if char == ",":
            return self._take(char, Pythonic._call, at)
        if char == "]":
            return self._end_list(at)
        return self._give_up(at) if char else at

    def _end_list(self, at: int) -> int:
        self._gap = []
        self._state = Pythonic._end
        return at + 1

    def _end(self, text: str, at: int, out: list[Part]) -> int:
        at = self._skip(text, at)
        return self._give_up(at) if at < len(text) else at
