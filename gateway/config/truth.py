"""A truth value is no number, and a number no truth value: pydantic would take the one for the other."""

from __future__ import annotations

from typing import Any, Final, get_args

from pydantic.fields import FieldInfo

from engines.units import Units
from gateway.config.shape import Path, settings_beside

_NEITHER: Final[Any] = object()
"""In the place of such a value, so that it is refused along with everything else that is wrong."""


def told_apart(tree: Any) -> Any:
    """A copy of a tree of plain values, for settings that take one of both kinds alone."""
    return _copied(tree, (), tree)


def _copied(value: Any, path: Path, tree: Any) -> Any:
    if isinstance(value, dict):
        return {name: _copied(each, (*path, name), tree) for name, each in value.items()}
    if isinstance(value, list | tuple):
        return [_copied(each, (*path, at), tree) for at, each in enumerate(value)]
    if isinstance(value, bool | int | float) and path:
        field = settings_beside(path, tree).get(str(path[-1]))
        return _NEITHER if field and _is_of_the_other(value, field) else value
    return value


def _is_of_the_other(value: float, field: FieldInfo) -> bool:
    if any(isinstance(it, Units) for it in field.metadata):  # they tell themselves what is possible
        return False
    kinds = set(_kinds(field.annotation))
    takes_number, takes_truth = bool(kinds & {int, float}), bool in kinds
    return takes_number != takes_truth and takes_number == isinstance(value, bool)


def _kinds(annotation: Any) -> list[Any]:
    return [annotation, *(kind for each in get_args(annotation) for kind in _kinds(each))]
