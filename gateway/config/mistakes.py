"""What is wrong with a configuration, told in the words of the file."""

from __future__ import annotations

from collections.abc import Iterator

from pydantic import ValidationError

_PLAIN = {
    "extra_forbidden": "there is no such setting",
    "missing": "is required",
    "model_type": "takes settings by name, as in {name: value}",
    "tuple_type": "takes a list",
}
"""pydantic's words where they speak of Python, in those of the file."""


class ConfigError(Exception):
    """What is wrong with the configuration, a line per mistake, fit for a terminal."""


def told(error: ValidationError) -> Iterator[str]:
    """A line per mistake, without values: they may be misplaced secrets."""
    for found in error.errors(include_input=False, include_url=False):
        where = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in found["loc"]).lstrip(".")
        what = _PLAIN.get(found["type"]) or found["msg"].removeprefix("Value error, ")
        yield f"{where or '(top level)'}: {what}"
