"""The configuration as a commented file: every setting with its default, made from the schema."""

from __future__ import annotations

import json
import re
import textwrap
from collections.abc import Iterable, Iterator
from typing import Any

from engines.units import DURATION, SIZE
from gateway.config.schema import schema

WIDTH = 100
HEAD = """\
# Every setting with its default or, where it is required, with an example. What is commented out has no default.
#
# Durations take ms, s, m and h, sizes B, kB, KiB, MB, MiB, GB and GiB; plain numbers are seconds and bytes.
# The environment goes over the file: SNOWSHED_SERVER__PORT=9000, SNOWSHED_MODELS__0__MAX_TOKENS=512.
"""
UNITS = {units.pattern: units for units in (DURATION, SIZE)}
BOUNDS = {"exclusiveMinimum": "more than", "minimum": "at least", "exclusiveMaximum": "less than", "maximum": "at most"}

Node = dict[str, Any]
"""A piece of JSON schema, with nothing left to be looked up elsewhere."""


def reference() -> str:
    """YAML that is a configuration itself, with a model on each of the engines."""
    made = schema()
    whole: Node = _inlined(made, made["$defs"])
    models: Node = whole["properties"].pop("models")
    model: Node = models["items"]
    routing: Node = whole["properties"].pop("routing")
    lines = [line for name, node in whole["properties"].items() for line in ("", *_setting(name, node))]
    lines += ["", *_comment(models["description"]), "models:"]
    for number, each in enumerate(model["allOf"]):
        engine = each["if"]["properties"]["engine"]["const"]
        options = each["then"]["properties"]["replicas"]["items"]
        lines += ["", *_indented(_entry([*_model(model, engine, is_first=number == 0), *_replicas(options)]))]
    lines += ["", *_setting("routing", routing)]
    return "\n".join([*HEAD.splitlines(), *(line.rstrip() for line in lines), ""])


def _inlined(node: Any, definitions: Node) -> Any:
    if isinstance(node, list):
        return [_inlined(each, definitions) for each in node]
    if not isinstance(node, dict):
        return node
    found = definitions[node["$ref"].rpartition("/")[2]] if "$ref" in node else {}
    both = {**found, **node}
    return {name: _inlined(each, definitions) for name, each in both.items() if name not in ("$ref", "$defs")}


def _model(model: Node, engine: str, *, is_first: bool) -> Iterator[str]:
    """What all engines have in common is told once."""
    given = {"name": f"on-{engine.replace('_', '-')}", "engine": engine}
    for name, node in model["properties"].items():
        if is_first and name != "replicas":
            yield from _setting(name, node | {"default": given.get(name, node.get("default"))})
        elif name in given:
            yield f"{name}: {given[name]}"


def _replicas(options: Node) -> Iterator[str]:
    yield from _comment(options["description"])
    yield "replicas:"
    yield from _indented(_entry(_settings(options)))


def _settings(section: Node) -> Iterator[str]:
    for name, node in section["properties"].items():
        yield from _setting(name, node)


def _setting(name: str, node: Node) -> Iterator[str]:
    """What it is for, and its value: a default, an example, or none."""
    what = node.get("anyOf", [node])[0]
    yield from _comment(_told(node, what))
    value = node.get("default", node.get("examples", [None])[0])
    if "properties" in what:
        lines = [f"{name}:", *_indented(_settings(what))]
        says = isinstance(value, dict) and not all(line.lstrip().startswith("#") for line in lines[1:])
        yield from lines if says else _commented(lines)  # a section that says nothing would be null
    elif "properties" in what.get("items", {}):
        yield from _commented([f"{name}:", *_indented(_entry(_settings(what["items"])))])
    elif value is None:
        yield f"# {name}:"
    else:
        yield f"{name}: {_written(value, node)}"


def _told(node: Node, what: Node) -> str:
    """The description, and what is possible."""
    parts = [node["description"]]
    if "enum" in what:
        parts.append(f"One of {', '.join(what['enum'])}.")
    bounds = [f"{words} {_written(what[bound], node)}" for bound, words in BOUNDS.items() if bound in what]
    if bounds:
        parts.append(f"{bounds[0][0].upper()}{', '.join(bounds)[1:]}.")
    return " ".join(parts)


def _written(value: Any, node: Node) -> str:
    """JSON is YAML; but plain words need no quotes, and numbers may have units."""
    units = next((UNITS[it["pattern"]] for it in node.get("anyOf", ()) if it.get("pattern") in UNITS), None)
    if units is not None:
        return units.write(value)
    is_plain = isinstance(value, str) and re.fullmatch(r"[a-z][\w.-]+", value)
    return value if is_plain else json.dumps(value, ensure_ascii=False)


def _entry(lines: Iterable[str]) -> Iterator[str]:
    """One of a list: its dash stands before its first setting."""
    dash = "- "
    for line in lines:
        has_setting = dash == "- " and not line.startswith("#")
        yield f"{dash if has_setting else '  '}{line}"
        dash = "  " if has_setting else dash


def _indented(lines: Iterable[str]) -> Iterator[str]:
    return (f"  {line}" for line in lines)


def _commented(lines: Iterable[str]) -> Iterator[str]:
    return (f"# {line}" for line in lines)


def _comment(text: str) -> Iterator[str]:
    return _commented(textwrap.wrap(text, WIDTH, break_on_hyphens=False))
