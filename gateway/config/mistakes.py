"""What is wrong with a configuration, told in the words of the file or of the variable that it came from."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from engines.choices import meant
from engines.units import Units
from gateway.config.shape import Path, dotted, settings_beside, single_settings
from gateway.config.variables import variable

_PLAIN = {
    "missing": "is required",
    "model_type": "takes settings by name, as in {name: value}",
    "tuple_type": "takes a list, as in [one, other]",
    "string_type": "takes text; put quotes around a number, yes or no",
    "path_type": "takes a path",
    "invalid_key": "names of settings are text",
    **dict.fromkeys(("int_type", "int_parsing", "int_from_float"), "takes a whole number"),
    **dict.fromkeys(
        ("float_type", "float_parsing", "finite_number", "decimal_type", "decimal_parsing"), "takes a number"
    ),
    **dict.fromkeys(("date_type", "date_from_datetime_parsing"), "takes a day, as in 2027-01-31"),
    **dict.fromkeys(("bool_type", "bool_parsing"), "takes true or false"),
}
"""pydantic's words where they speak of Python, in those of the file."""

_BOUNDS = {
    "greater_than": ("gt", "more than"),
    "greater_than_equal": ("ge", "at least"),
    "less_than": ("lt", "less than"),
    "less_than_equal": ("le", "at most"),
}


def told(error: ValidationError, tree: Any, variables: Mapping[Path, str]) -> Iterator[str]:
    """A line per mistake in `tree`, without values: they may be misplaced secrets.

    `variables` are those of the environment that paths were set by.
    """
    for found in error.errors(include_url=False):
        path = tuple(found["loc"])
        where, named = _origin(path, variables)
        yield f"{where}: {_what(found, path, tree, named)}"


def told_inside(error: ValidationError, base: Path, tree: Any) -> Iterator[tuple[Path, str]]:
    """The same of a part of `tree`, which is at `base`: each mistake's path from there, and what is wrong."""

    def named(path: Path) -> str:
        return dotted(path[len(base) :]) if path[: len(base)] == base else ""

    for found in error.errors(include_url=False):
        path = tuple(found["loc"])
        yield path, _what(found, (*base, *path), tree, named)


def _origin(path: Path, variables: Mapping[Path, str]) -> tuple[str, Callable[[Path], str]]:
    """The place of a mistake, and how other settings are called there."""
    for end in range(len(path), 0, -1):
        if path[:end] in variables:
            return f"{variables[path[:end]]} {dotted(path[end:])}".rstrip(), variable
    return dotted(path) or "(top level)", dotted


def _what(found: ErrorDetails, path: Path, tree: Any, named: Callable[[Path], str]) -> str:
    match found["type"]:
        case "extra_forbidden":
            return f"there is no such setting{_nearest(path, tree, named)}"
        case "literal_error":
            names = re.findall("'([^']*)'", found["ctx"]["expected"])
            return f"must be one of {', '.join(names)}{meant(str(found['input']), names)}"
        case "decimal_max_places":
            return f"takes at most {found['ctx']['decimal_places']} decimals"
        case kind if kind in _BOUNDS:
            bound, words = _BOUNDS[kind]
            return f"must be {words} {_written(found['ctx'][bound], path, tree)}"
    return _PLAIN.get(found["type"]) or found["msg"].removeprefix("Value error, ")


def _nearest(path: Path, tree: Any, named: Callable[[Path], str]) -> str:
    """`server_port` for one in a section, or what is beside it, or what has that name elsewhere."""
    *above, name = path
    found: list[Path] = [each for each in single_settings() if path == ("_".join(map(str, each)),)]
    found = found or [(*above, near) for near in get_close_matches(str(name), settings_beside(path, tree), n=1)]
    found = found or [each for each in single_settings() if each[-1] == name]
    names = [name for name in map(named, found) if name]
    return f"; did you mean {' or '.join(names)}?" if names else ""


def _written(number: float, path: Path, tree: Any) -> str:
    """In the units of the setting, if it has any."""
    field = settings_beside(path, tree).get(str(path[-1]))
    units = next((it for it in (field.metadata if field else ()) if isinstance(it, Units)), None)
    return units.write(number) if units else str(number).removesuffix(".0")
