"""What passes for a JSON schema."""

from __future__ import annotations

import tracemalloc
from typing import Any

import pytest

from engines.text.schemas import MAX_DEPTH, MAX_PARTS, Malformed, check_schema


def nested(depth: int) -> dict[str, Any]:
    schema: dict[str, Any] = {}
    for _ in range(depth):
        schema = {"items": schema}
    return schema


SOUND: list[dict[str, Any]] = [
    {},
    {"type": ["string", "null"], "minLength": 0, "maxLength": 2.0, "pattern": "^a"},
    {"type": "object", "properties": {"type": {"type": "string"}, "enum": True}, "required": ["type"]},
    {"$defs": {"a/b": {"items": {"$ref": "#"}}}, "anyOf": [{"$ref": "#/$defs/a~1b"}, {"$ref": "#/$defs/a~1b/items"}]},
    {"oneOf": [{"const": 1}], "additionalProperties": False, "x-unknown": {"type": 3}},
    {"items": [{"type": "null"}], "enum": [None]},
    {"allOf": [{"type": "object"}], "if": {"$ref": "#/allOf/0"}},
    nested(MAX_DEPTH),
]
MALFORMED: list[tuple[dict[str, Any], str]] = [
    ({"type": "str"}, "s.type"),
    ({"type": []}, "s.type"),
    ({"type": {"a": 1}}, "s.type"),
    ({"properties": []}, "s.properties"),
    ({"properties": {"a": 1}}, "s.properties.a"),
    ({"items": 1}, "s.items"),
    ({"anyOf": []}, "s.anyOf"),
    ({"anyOf": {}}, "s.anyOf"),
    ({"anyOf": [{}, {"type": "x"}]}, "s.anyOf[1].type"),
    ({"required": "a"}, "s.required"),
    ({"required": [1]}, "s.required"),
    ({"enum": []}, "s.enum"),
    ({"pattern": 1}, "s.pattern"),
    ({"minimum": True}, "s.minimum"),
    ({"minLength": -1}, "s.minLength"),
    ({"maxItems": 1.5}, "s.maxItems"),
    ({"$ref": "http://10.0.0.1/schema"}, "s.$ref"),
    ({"$ref": "#/nowhere"}, "s.$ref"),
    ({"$ref": "#/anyOf/9", "anyOf": [{}]}, "s.$ref"),
    ({"$ref": "#anchor"}, "s.$ref"),
    ({"$ref": 1}, "s.$ref"),
    (nested(MAX_DEPTH + 1), "s"),
    ({"properties": {str(at): {} for at in range(MAX_PARTS)}}, "s"),
]


@pytest.mark.parametrize("schema", SOUND, ids=lambda value: str(value)[:90])
def test_a_schema_passes(schema: dict[str, Any]) -> None:
    check_schema(schema, "s")


@pytest.mark.parametrize(("schema", "where"), MALFORMED, ids=lambda value: str(value)[:90])
def test_what_is_malformed_is_found_where_it_is(schema: dict[str, Any], where: str) -> None:
    with pytest.raises(Malformed) as found:
        check_schema(schema, "s")
    assert found.value.where == where


def test_a_long_name_is_not_copied_for_each_part_below_it() -> None:
    below: dict[str, Any] = {"properties": {str(at): {} for at in range(MAX_PARTS // 2)}}
    tracemalloc.start()
    try:
        check_schema({"properties": {"n" * 100_000: below}}, "s")
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert most < 10 << 20
