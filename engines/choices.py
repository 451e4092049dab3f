"""A setting that takes one of several names: the wrong one is told the right ones, and the nearest of them."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

from pydantic import GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema


@dataclass(frozen=True)
class OneOf:
    """As in `Annotated[str, OneOf(ENGINES)]`."""

    names: tuple[str, ...]

    def __init__(self, *names: Iterable[str]) -> None:
        object.__setattr__(self, "names", tuple(name for some in names for name in some))

    def read(self, value: str) -> str:
        """Raises ValueError, without the value."""
        if value not in self.names:
            raise ValueError(f"must be one of {', '.join(self.names)}{meant(value, self.names)}")
        return value

    def __get_pydantic_core_schema__(self, source: Any, inner: GetCoreSchemaHandler) -> CoreSchema:
        return core_schema.no_info_after_validator_function(self.read, inner(source))

    def __get_pydantic_json_schema__(self, schema: CoreSchema, inner: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {**inner(schema), "enum": list(self.names)}


def meant(given: str, names: Iterable[str]) -> str:
    """`; did you mean …?`, or nothing where no name is near."""
    near = get_close_matches(given[:64], names, n=1)
    return f"; did you mean {near[0]}?" if near else ""
