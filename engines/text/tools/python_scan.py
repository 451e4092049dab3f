"""Turns a Python literal that comes in pieces into JSON text while it comes."""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable

from engines.text.tools.json_scan import MAX_DEPTH, Matches

MAX_ATOM = 1024
"""Characters of a number."""

_space: Matches = re.compile(r"\s*").match  # type: ignore[assignment]
_plain: Matches = re.compile(r"""[^'"\\\x00-\x1f]*""").match  # type: ignore[assignment]
_atom: Matches = re.compile(r"[A-Za-z0-9_.+\-]*").match  # type: ignore[assignment]
_json_number = re.compile(r"-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?").fullmatch
_float = re.compile(r"[+-]?(?=.*[.eE])[0-9_]*\.?[0-9_]*(?:[eE][+-]?[0-9_]+)?").fullmatch

_WORDS = {"True": "true", "False": "false", "None": "null"}
_CLOSINGS = {"[": "]", "{": "}"}
_ESCAPES = {
    "n": "\\n", "t": "\\t", "r": "\\r", "b": "\\b", "f": "\\f", "a": "\\u0007", "v": "\\u000b",
    "\\": "\\\\", "'": "'", '"': '\\"', "\n": "",
}  # fmt: skip
_HEXADECIMAL = {"x": 2, "u": 4, "U": 8}


class PythonScan:
    """One number, string, True, False, None, list or dict (with strings as keys).

    `done` once it is complete, `broken` once it can't be; a number is complete when something follows. Strings may
    hold line breaks, unlike Python's. `unsaid` is what was read and is not in the JSON text yet.
    """

    __slots__ = ("_closings", "_comma", "_digits", "_in_key", "_quote", "_state", "broken", "done", "unsaid")

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self.unsaid = ""
        self._closings: list[str] = []
        self._comma = False  # read, and not written before a member follows
        self._in_key = False
        self._quote = ""
        self._digits = 0  # of an escape, still to come
        self._state: Callable[[PythonScan, str, int, list[str]], int] = PythonScan._value

    def __repr__(self) -> str:
        state = "done" if self.done else "broken" if self.broken else f"at {self._state.__name__.strip('_')}"
        return f"<PythonScan {state}, depth {len(self._closings)}, {len(self.unsaid)} characters unsaid>"

    def scan(self, text: str, at: int, out: list[str]) -> int:
        """Read on from `at`, JSON goes to `out`; returns where the value ends or breaks, or the length of the text."""
        end = len(text)
        while at < end and not self.done and not self.broken:
            at = self._state(self, text, at, out)
        return at

    def _break(self, at: int) -> int:
        self.broken = True
        return at

    def _end(self, at: int) -> int:
        self.unsaid = ""
        self.done = not self._closings
        self._state = PythonScan._next
        return at

    def _write(self, piece: str, out: list[str]) -> None:
        """The beginning of a value or a key."""
        if self._comma:
            self._comma = False
            self.unsaid = ""
            out.append(", ")
        out.append(piece)

    def _value(self, text: str, at: int, out: list[str]) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char in ('"', "'"):
            return self._start_string(char, at, out, in_key=False)
        if char in _CLOSINGS and len(self._closings) < MAX_DEPTH:
            self._write(char, out)
            self._closings.append(_CLOSINGS[char])
            self._state = PythonScan._member
            return at + 1
        if not char or _atom(text, at).end() == at:
            return self._break(at) if char else at
        if self._comma:
            self._write("", out)
        self._state = PythonScan._number_or_word
        return at

    def _start_string(self, quote: str, at: int, out: list[str], *, in_key: bool) -> int:
        self._write('"', out)
        self._quote = quote
        self._in_key = in_key
        self._state = PythonScan._string
        return at + 1

    def _member(self, text: str, at: int, out: list[str]) -> int:
        """Behind an opening bracket or a comma; a comma may be the last thing in a list."""
        at = _space(text, at).end()
        char = text[at : at + 1]
        if not char:
            return at
        if char == self._closings[-1]:
            return self._close(at, out)
        if self._closings[-1] == "]":
            self._state = PythonScan._value
            return at
        if char in ('"', "'"):
            return self._start_string(char, at, out, in_key=True)
        return self._break(at)

    def _close(self, at: int, out: list[str]) -> int:
        self._comma = False
        out.append(self._closings.pop())
        return self._end(at + 1)

    def _next(self, text: str, at: int, out: list[str]) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char == ",":
            self._comma = True
            self.unsaid = ","
            self._state = PythonScan._member
        elif char == self._closings[-1]:
            return self._close(at, out)
        elif char:
            return self._break(at)
        return at + len(char)

    def _colon(self, text: str, at: int, out: list[str]) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char == ":":
            out.append(": ")
            self._state = PythonScan._value
        elif char:
            return self._break(at)
        return at + len(char)

    def _string(self, text: str, at: int, out: list[str]) -> int:
        end = _plain(text, at).end()
        if end > at:
            out.append(text[at:end])
        char = text[end : end + 1]
        if char == self._quote:
            out.append('"')
            if not self._in_key:
                return self._end(end + 1)
            self._state = PythonScan._colon
        elif char == "\\":
            self.unsaid = char
            self._state = PythonScan._escape
        elif char:
            out.append(_quoted(char))
        return end + len(char)

    def _escape(self, text: str, at: int, out: list[str]) -> int:
        char = text[at]
        if char in _HEXADECIMAL or char in "01234567":
            self._digits = _HEXADECIMAL.get(char, 3)
            self._state = PythonScan._hexadecimal if char in _HEXADECIMAL else PythonScan._octal
            self.unsaid += char if char in _HEXADECIMAL else ""
            return at + (char in _HEXADECIMAL)
        if char == "N":
            return self._break(at)
        out.append(_ESCAPES[char] if char in _ESCAPES else "\\\\" + _quoted(char))
        return self._in_string(at + 1)

    def _in_string(self, at: int) -> int:
        self.unsaid = ""
        self._state = PythonScan._string
        return at

    def _hexadecimal(self, text: str, at: int, out: list[str]) -> int:
        if text[at] not in "0123456789abcdefABCDEF":
            return self._break(at)
        self.unsaid += text[at]
        self._digits -= 1
        if not self._digits:
            code = int(self.unsaid[2:], 16)  # noqa: FURB166  # of Python's escapes, base 0 knows none
            if code > 0x10FFFF:
                return self._break(at + 1)
            out.append(f"\\u{code:04x}" if 0xD800 <= code < 0xE000 else _quoted(chr(code)))
            return self._in_string(at + 1)
        return at + 1

    def _octal(self, text: str, at: int, out: list[str]) -> int:
        if self._digits and text[at] in "01234567":
            self._digits -= 1
            self.unsaid += text[at]
            return at + 1
        out.append(_quoted(chr(int(self.unsaid[1:], 8))))
        return self._in_string(at)

    def _number_or_word(self, text: str, at: int, out: list[str]) -> int:
        end = _atom(text, at, at + MAX_ATOM - len(self.unsaid)).end()
        self.unsaid += text[at:end]
        if end == len(text) and len(self.unsaid) < MAX_ATOM:
            return end
        written = _WORDS.get(self.unsaid) or _number(self.unsaid)
        if len(self.unsaid) == MAX_ATOM or not written:
            return self._break(end)
        out.append(written)
        return self._end(end)


def _quoted(char: str) -> str:
    return json.dumps(char, ensure_ascii=False)[1:-1]


def _number(atom: str) -> str:
    """As JSON writes the number that Python reads; nothing, where it reads none."""
    if _json_number(atom):
        return atom
    try:
        return str(int(atom, 0))
    except ValueError:
        pass
    try:
        value = float(atom) if _float(atom) else math.inf
    except ValueError:
        return ""
    return repr(value) if math.isfinite(value) else ""
