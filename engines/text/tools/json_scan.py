"""Finds where a JSON value (RFC 8259) ends that comes in pieces, or the first character that can't be in one."""

from __future__ import annotations

import re
from collections.abc import Callable

MAX_DEPTH = 128
"""Arrays and objects within one another: who reads the value later must not be made to recurse further."""

Matches = Callable[..., re.Match[str]]
"""The `match` of a pattern that matches the empty text too: never None."""

_space: Matches = re.compile(r"[ \t\n\r]*").match  # type: ignore[assignment]
_plain: Matches = re.compile(r'[^"\\\x00-\x1f]*').match  # type: ignore[assignment]

_LITERALS = {"t": "rue", "f": "alse", "n": "ull"}

_NONZERO = dict.fromkeys("123456789", "integer")
_FRACTION = dict.fromkeys("0123456789", "fraction")
_POWER = dict.fromkeys("0123456789", "power")
_EXPONENT = {"e": "exponent", "E": "exponent"}
_START = {"-": "minus", "0": "zero", **_NONZERO}
_NUMBERS: dict[str, dict[str, str]] = {
    "minus": {"0": "zero", **_NONZERO},
    "zero": {".": "point", **_EXPONENT},
    "integer": {"0": "integer", **_NONZERO, ".": "point", **_EXPONENT},
    "point": _FRACTION,
    "fraction": {**_FRACTION, **_EXPONENT},
    "exponent": {"+": "sign", "-": "sign", **_POWER},
    "sign": _POWER,
    "power": _POWER,
}
"""What may follow in a number, and what that makes of it."""
_WHOLE = {"zero", "integer", "fraction", "power"}


class JsonScan:
    """One value. `done` once it is complete, `broken` once it can't be; a number is complete when something follows.

    Looks at each character once, and keeps none.
    """

    __slots__ = ("_closings", "_in_key", "_rest", "_state", "broken", "done")

    def __init__(self) -> None:
        self.done = False
        self.broken = False
        self._closings: list[str] = []
        self._in_key = False
        self._rest = ""  # of a literal; of an escape, as many characters; of a number, what it is so far
        self._state: Callable[[JsonScan, str, int], int] = JsonScan._value

    def __repr__(self) -> str:
        state = "done" if self.done else "broken" if self.broken else f"at {self._state.__name__.strip('_')}"
        return f"<JsonScan {state}, depth {len(self._closings)}>"

    def scan(self, text: str, at: int) -> int:
        """Read on from `at`; returns where the value ends, where it is broken, or the length of the text."""
        end = len(text)
        while at < end and not self.done and not self.broken:
            at = self._state(self, text, at)
        return at

    def _break(self, at: int) -> int:
        self.broken = True
        return at

    def _end(self, at: int) -> int:
        self.done = not self._closings
        self._state = JsonScan._next
        return at

    def _value(self, text: str, at: int) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char in ("{", "["):
            return self._open(char, at)
        if char == '"':
            self._in_key = False
            self._state = JsonScan._string
        elif char in _LITERALS:
            self._rest = _LITERALS[char]
            self._state = JsonScan._literal
        elif char in _START:
            self._rest = _START[char]
            self._state = JsonScan._number
        elif char:
            return self._break(at)
        return at + len(char)

    def _open(self, char: str, at: int) -> int:
        if len(self._closings) == MAX_DEPTH:
            return self._break(at)
        self._closings.append("}" if char == "{" else "]")
        self._state = JsonScan._first
        return at + 1

    def _close(self, at: int) -> int:
        self._closings.pop()
        return self._end(at + 1)

    def _first(self, text: str, at: int) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char == self._closings[-1]:
            return self._close(at)
        return self._member(text, at) if char else at

    def _member(self, text: str, at: int) -> int:
        if self._closings[-1] == "]":
            self._state = JsonScan._value
            return at
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char == '"':
            self._in_key = True
            self._state = JsonScan._string
        elif char:
            return self._break(at)
        return at + len(char)

    def _next(self, text: str, at: int) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char == ",":
            self._state = JsonScan._member
        elif char == self._closings[-1]:
            return self._close(at)
        elif char:
            return self._break(at)
        return at + len(char)

    def _colon(self, text: str, at: int) -> int:
        at = _space(text, at).end()
        char = text[at : at + 1]
        if char == ":":
            self._state = JsonScan._value
        elif char:
            return self._break(at)
        return at + len(char)

    def _string(self, text: str, at: int) -> int:
        at = _plain(text, at).end()
        char = text[at : at + 1]
        if char == '"':
            if not self._in_key:
                return self._end(at + 1)
            self._state = JsonScan._colon
        elif char == "\\":
            self._state = JsonScan._escape
        elif char:
            return self._break(at)
        return at + len(char)

    def _escape(self, text: str, at: int) -> int:
        char = text[at]
        if char == "u":
            self._rest = "1234"
            self._state = JsonScan._hexadecimal
        elif char in '"\\/bfnrt':
            self._state = JsonScan._string
        else:
            return self._break(at)
        return at + 1

    def _hexadecimal(self, text: str, at: int) -> int:
        if text[at] not in "0123456789abcdefABCDEF":
            return self._break(at)
        self._rest = self._rest[1:]
        if not self._rest:
            self._state = JsonScan._string
        return at + 1

    def _literal(self, text: str, at: int) -> int:
        if text[at] != self._rest[0]:
            return self._break(at)
        self._rest = self._rest[1:]
        return at + 1 if self._rest else self._end(at + 1)

    def _number(self, text: str, at: int) -> int:
        follows = _NUMBERS[self._rest].get(text[at])
        if follows is not None:
            self._rest = follows
            return at + 1
        return self._end(at) if self._rest in _WHOLE else self._break(at)
