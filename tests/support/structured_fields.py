"""Structured fields of HTTP (RFC 9651), as far as a test needs them: lists of strings with parameters. Strict."""

from __future__ import annotations

import re
from base64 import b64decode
from dataclasses import dataclass, field

Bare = str | int | bytes

_STRING = r'"((?:[\x20\x21\x23-\x5b\x5d-\x7e]|\\["\\])*)"'
_ITEM = re.compile(_STRING)
_PARAMETER = re.compile(r"; *([a-z*][a-z0-9_.*-]*)=")
_VALUE = re.compile(rf"{_STRING}|(-?[0-9]{{1,15}})(?![0-9.])|:([A-Za-z0-9+/=]*):")
_COMMA = re.compile(r"[ \t]*,[ \t]*(?=.)")


@dataclass(slots=True)
class Item:
    value: str
    parameters: dict[str, Bare] = field(default_factory=dict)


def parsed(text: str) -> list[Item]:
    """Raises AssertionError for what is no such list, or an empty one."""
    items, at = [], 0
    while True:
        found = _ITEM.match(text, at)
        assert found, text[at:]
        item, at = Item(_plain(found[1])), found.end()
        while found := _PARAMETER.match(text, at):
            value = _VALUE.match(text, found.end())
            assert value, text[found.end() :]
            item.parameters[found[1]] = _bare(value)
            at = value.end()
        items.append(item)
        if at == len(text):
            return items
        comma = _COMMA.match(text, at)
        assert comma, text[at:]
        at = comma.end()


def _bare(value: re.Match[str]) -> Bare:
    if value[1] is not None:
        return _plain(value[1])
    return int(value[2]) if value[2] is not None else b64decode(value[3], validate=True)


def _plain(escaped: str) -> str:
    return re.sub(r"\\(.)", r"\1", escaped)
