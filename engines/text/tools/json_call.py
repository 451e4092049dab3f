"""Reads one call that is written as a JSON object: `{"name": …, "arguments": {…}}`, in any order of its keys."""

from __future__ import annotations

import re
from collections.abc import Callable

import msgspec

from engines.text.tools.api import MAX_HELD, CallArguments, CallBegun, Part
from engines.text.tools.json_scan import JsonScan, Matches

Begin = Callable[[str], CallBegun]

_space: Matches = re.compile(r"[ \t\n\r]*").match  # type: ignore[assignment]
_decode = msgspec.json.Decoder(str).decode

_NAME = '"name"'
_ARGUMENTS = {'"arguments"', '"parameters"'}
_KEYS = {_NAME, *_ARGUMENTS, '"id"', '"type"'}
_FOLLOWS: dict[str, dict[str, str]] = {
    "start": {"{": "first"},
    "first": {'"': "key", "}": "end"},
    "member": {'"': "key"},
    "colon": {":": "value"},
    "next": {",": "member", "}": "end"},
}
"""What may stand between the values, and what it leads to."""


class JsonCall:
    """`done` once the object is complete, `broken` once it can't be a call.

    `begin` makes the CallBegun of a name. Arguments go out verbatim, as they come, or all at once where they stand
    before the name. An id, a type and a second name are skipped; other keys make it no call, so that an answer in JSON
    does not wait for its end, and so does a missing name or missing arguments.
    `unsaid` is all that was read, `before` included, while the call has not begun.
    """

    __slots__ = (
        "_arguments",
        "_begin",
        "_index",
        "_kept",
        "_name",
        "_reading",
        "_room",
        "_scan",
        "_state",
        "broken",
        "done",
        "unsaid",
    )

    def __init__(self, begin: Begin, before: str) -> None:
        self.done = False
        self.broken = False
        self.unsaid = [before]
        self._room = MAX_HELD - len(before)
        self._begin = begin
        self._index = -1
        self._name = ""
        self._arguments = ""
        self._scan: JsonScan | None = None
        self._reading = ""  # what the scan is for: "key", or the key, if its value matters
        self._kept: list[str] = []  # of that
        self._state = "start"

    def __repr__(self) -> str:
        return f"<JsonCall {self._name or '(no name yet)'} at {self._state}, {'begun' if self.begun else 'not begun'}>"

    @property
    def begun(self) -> bool:
        return self._index >= 0

    def read(self, text: str, at: int, out: list[Part]) -> int:
        """Read on from `at`; what is known goes to `out`. Returns where the call ends or breaks, or the text does."""
        if not self.begun:
            start = at
            at = self._read(text[: at + self._room], at, out)
            self._room -= at - start
            if self.begun:
                self.unsaid = []
            else:
                self.unsaid.append(text[start:at])
                self.broken = self.broken or self._room <= 0
        return self._read(text, at, out)

    def _read(self, text: str, at: int, out: list[Part]) -> int:
        end = len(text)
        while at < end and not self.done and not self.broken:
            at = self._between(text, at, out) if self._scan is None else self._within(self._scan, text, at, out)
        return at

    def _between(self, text: str, at: int, out: list[Part]) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if not char:
            return at
        if self._state == "value":
            self._start_value(char, out)
            return at
        follows = _FOLLOWS[self._state].get(char, "")
        if follows == "key":
            self._start("key")
            return at
        if not follows or (follows == "end" and not self.begun):
            self.broken = True
            return at
        self.done = follows == "end"
        self._state = follows
        return at + 1

    def _start(self, reading: str) -> None:
        self._scan = JsonScan()
        self._reading = reading
        self._kept = []

    def _start_value(self, char: str, out: list[Part]) -> None:
        key = "".join(self._kept)
        if self.begun or (key == _NAME and self._name) or (key in _ARGUMENTS and self._arguments):
            key = ""
        if key == _NAME:
            self.broken = char != '"'
        elif key in _ARGUMENTS:
            self.broken = char != "{"
            if self._name and not self.broken:
                self._tell(out)
        self._start(key)

    def _tell(self, out: list[Part]) -> None:
        begun = self._begin(self._name)
        self._index = begun.index
        out.append(begun)

    def _within(self, scan: JsonScan, text: str, at: int, out: list[Part]) -> int:
        start = at
        at = scan.scan(text, at)
        if self._reading and start < at:
            if self.begun and self._reading in _ARGUMENTS:
                out.append(CallArguments(self._index, text[start:at]))
            elif not self.begun:
                self._kept.append(text[start:at])
        self.broken = scan.broken
        if scan.done:
            self._scan = None
            self._end(out)
        return at

    def _end(self, out: list[Part]) -> None:
        """A key or a value is complete."""
        if self._reading == "key":
            self._state = "colon"
            self.broken = not self.begun and "".join(self._kept) not in _KEYS
            return
        self._state = "next"
        if self.begun:
            return
        if self._reading in _ARGUMENTS:
            self._arguments = "".join(self._kept)
        elif self._reading == _NAME:
            self._name = _text("".join(self._kept))
            self.broken = not self._name
            if self._name and self._arguments:
                self._tell(out)
                out.append(CallArguments(self._index, self._arguments))


def _text(string: str) -> str:
    """What a JSON string says; nothing, where that is no text."""
    try:
        return _decode(string)
    except ValueError:  # half a surrogate pair
        return ""
