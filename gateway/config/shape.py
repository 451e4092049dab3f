"""Which settings there are: the models of pydantic, walked along a path."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, get_args

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from engines import ENGINES
from gateway.config.models import ModelSpec
from gateway.config.tree import Config

Path = tuple[str | int, ...]
"""Names of settings and places in lists, from the top: `("models", 0, "name")`."""


LONGEST_SHOWN = 128


def dotted(path: Path) -> str:
    """As people write it: `models[0].name`."""
    return "".join(f"[{part}]" if isinstance(part, int) else f".{_printable(part)}" for part in path).lstrip(".")


def _printable(name: str) -> str:
    """On one line of a terminal, whatever a file holds in the place of a name."""
    shown = name if name.isprintable() else ascii(name)[1:-1]
    return shown if len(shown) <= LONGEST_SHOWN else f"{shown[:LONGEST_SHOWN]}…"


def section_within(annotation: Any) -> type[BaseModel] | None:
    """The group of settings that a setting takes, or takes a list of."""
    kinds = (annotation, *get_args(annotation))
    found = next((kind for kind in kinds if isinstance(kind, type) and issubclass(kind, BaseModel)), None)
    return found or next((deep for kind in get_args(annotation) if (deep := section_within(kind))), None)


def settings_beside(path: Path, tree: Any) -> Mapping[str, FieldInfo]:
    """The settings of the group in which the last part of `path` stands, or would; none where there is no group.

    `tree` are the values, of which those on the way say which engine's options are meant.
    """
    section: type[BaseModel] | None = Config
    for part in path[:-1]:
        if section is ModelSpec and part == "replicas":
            engine = tree.get("engine") if isinstance(tree, Mapping) else None
            section = ENGINES[engine].Options if isinstance(engine, str) and engine in ENGINES else None
        elif isinstance(part, str):
            field = section.model_fields.get(part) if section else None
            section = section_within(field.annotation) if field else None
        tree = _below(tree, part)
    return section.model_fields if section else {}


def _below(tree: Any, part: str | int) -> Any:
    if isinstance(tree, Mapping):
        return tree.get(part)
    return tree[part] if isinstance(tree, Sequence) and isinstance(part, int) and part < len(tree) else None


def single_settings(section: type[BaseModel] = Config, path: Path = ()) -> Iterator[Path]:
    """The path of each setting that is in no list."""
    for name, field in section.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, BaseModel):
            yield from single_settings(field.annotation, (*path, name))
        else:
            yield (*path, name)
