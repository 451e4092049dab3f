"""Whether a JSON schema is one, as far as its form tells: a model server takes a malformed one for its own failure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

MAX_DEPTH = 64
MAX_PARTS = 5000
"""Schemas within one schema; what a server makes of them grows faster than their number."""

MAX_PATH = 256
"""Characters of a path: thousands of parts below one long name would each hold a copy of it."""

_TYPES = frozenset({"string", "number", "integer", "boolean", "array", "object", "null"})
_NAMED = frozenset({"properties", "patternProperties", "$defs", "definitions", "dependentSchemas"})
_ONE = frozenset({
    "additionalProperties", "unevaluatedProperties", "unevaluatedItems", "additionalItems", "propertyNames", "contains",
    "not", "if", "then", "else",
})  # fmt: skip
_SEVERAL = frozenset({"anyOf", "oneOf", "allOf", "prefixItems", "items"})  # items: one schema too

Place = tuple[str, Any, int]
"""A path below the schema's own, what stands there, and how deep."""


class Malformed(Exception):
    """`where` is the path of the part that can't be a schema, `why` ends a sentence about it."""

    def __init__(self, where: str, why: str) -> None:
        super().__init__(f"{where}: {why}")
        self.where = where
        self.why = why


def check_schema(schema: dict[str, Any], path: str, room: int = MAX_PARTS) -> int:
    """How many parts it has. Raises Malformed for one that can't be a schema, or if there are more than `room`."""
    waiting: list[Place] = [(path, schema, 0)]
    parts = 1
    while waiting:
        where, part, depth = waiting.pop()
        if isinstance(part, bool):
            continue
        _demand(isinstance(part, dict), where, "a schema must be an object")
        _check_words(where, part, schema)
        for name, inner in _inner(where, part):
            parts += 1
            _demand(depth < MAX_DEPTH and parts <= room, path, "the schema is too deep or too large")
            waiting.append((f"{where}.{name}"[:MAX_PATH], inner, depth + 1))
    return parts


def _demand(fits: bool, where: str, why: str) -> None:  # noqa: FBT001  # read as a sentence
    if not fits:
        raise Malformed(where, why)


def _inner(where: str, part: dict[str, Any]) -> Iterator[tuple[str, Any]]:
    """The schemas directly within this one."""
    for word in _NAMED & part.keys():
        _demand(isinstance(part[word], dict), f"{where}.{word}", "it must be an object")
        yield from ((f"{word}.{name}", inner) for name, inner in part[word].items())
    for word in _SEVERAL & part.keys():
        if word == "items" and not isinstance(part[word], list):
            yield word, part[word]
            continue
        _demand(
            isinstance(part[word], list) and part[word] != [], f"{where}.{word}", "it must be an array with an item"
        )
        yield from ((f"{word}[{at}]", inner) for at, inner in enumerate(part[word]))
    yield from ((word, part[word]) for word in _ONE & part.keys())


def _check_words(where: str, part: dict[str, Any], whole: dict[str, Any]) -> None:
    """The words of one schema that hold no schemas."""
    for word in _RULES.keys() & part.keys():
        fits, wanted = _RULES[word]
        _demand(fits(part[word]), f"{where}.{word}", f"it must be {wanted}")
    if "$ref" in part:
        _demand(_leads_somewhere(part["$ref"], whole), f"{where}.$ref", "it must lead to a part of this schema")


def _is_type(value: Any) -> bool:
    names = value if isinstance(value, list) else [value]
    return bool(names) and all(isinstance(name, str) and name in _TYPES for name in names)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_count(value: Any) -> bool:
    return _is_number(value) and value >= 0 and value == int(value)


_RULES: Mapping[str, tuple[Callable[[Any], bool], str]] = {
    "type": (_is_type, "the name of a JSON type, or an array of them"),
    "enum": (lambda value: isinstance(value, list) and bool(value), "an array with an item"),
    "required": (lambda value: isinstance(value, list) and all(isinstance(n, str) for n in value), "strings"),
    "pattern": (lambda value: isinstance(value, str), "a string"),
    **dict.fromkeys(
        ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf"), (_is_number, "a number")
    ),
    **dict.fromkeys(
        ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"),
        (_is_count, "a whole number from 0 up"),
    ),
}


def _leads_somewhere(pointer: Any, whole: dict[str, Any]) -> bool:
    """Whether it is a JSON pointer into this very schema: a server must be sent nowhere else to read one."""
    if not isinstance(pointer, str) or not (pointer == "#" or pointer.startswith("#/")):
        return False
    here: Any = whole
    for name in pointer[1:].split("/")[1:]:
        name = name.replace("~1", "/").replace("~0", "~")  # noqa: PLW2901  # as RFC 6901 escapes them
        if isinstance(here, list) and name.isascii() and name.isdigit():
            here = here[int(name)] if len(name) < 5 and int(name) < len(here) else None
        else:
            here = here.get(name) if isinstance(here, dict) else None
        if here is None:
            return False
    return True
