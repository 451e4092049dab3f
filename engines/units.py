"""Durations and sizes as people write them: `30s`, `500ms`, `8MiB`, or plain numbers of seconds and bytes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any

from pydantic import Field, GetCoreSchemaHandler, GetJsonSchemaHandler
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

_NUMBER = r"[0-9]+(?:\.[0-9]+)?"


@dataclass(frozen=True)
class Units:
    """Makes a setting take a number with a unit. `factors` are from the smallest unit up; plain numbers are `plain`."""

    plain: str
    factors: Mapping[str, Decimal]

    def __hash__(self) -> int:
        return hash(self.plain)

    @property
    def pattern(self) -> str:
        return f"^{_NUMBER} ?(?:{'|'.join(self.factors)})?$"

    def read(self, value: Any) -> Any:
        """A number of `plain`. Raises ValueError, without the value, for text that is not one."""
        if not isinstance(value, str | bool):
            return value
        found = re.fullmatch(rf"({_NUMBER}) ?([A-Za-zµ]*)", str(value).strip())
        if found is None or found[2] not in ("", *self.factors) or len(found[1]) > 40:  # longer than any float
            raise ValueError(self._possible)
        number = Decimal(found[1]) * self.factors.get(found[2], Decimal(1))
        return int(number) if number == int(number) else float(number)

    def write(self, value: float) -> str:
        """As `read` takes it: in the largest unit of which it is a whole number."""
        number = Decimal(str(value))
        unit = next((unit for unit, factor in reversed(list(self.factors.items())) if number % factor == 0), "")
        return f"{int(number / self.factors[unit])}{unit}" if number and unit else f"{number:f}".removesuffix(".0")

    @property
    def _possible(self) -> str:
        *others, last = self.factors
        return f"takes {self.plain}, or a number with a unit: {', '.join(others)} or {last}"

    def __get_pydantic_core_schema__(self, source: Any, inner: GetCoreSchemaHandler) -> CoreSchema:
        written = core_schema.plain_serializer_function_ser_schema(self.write, when_used="json")
        return core_schema.no_info_before_validator_function(self.read, inner(source), serialization=written)

    def __get_pydantic_json_schema__(self, schema: CoreSchema, inner: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"anyOf": [inner(schema), {"type": "string", "pattern": self.pattern}]}


_KILO, _KIBI = Decimal(1000), Decimal(1024)
DURATION = Units("seconds", {"ms": 1 / _KILO, "s": Decimal(1), "m": Decimal(60), "h": Decimal(3600)})
SIZE = Units("bytes", {
    "B": Decimal(1), "kB": _KILO, "KiB": _KIBI, "MB": _KILO**2, "MiB": _KIBI**2, "GB": _KILO**3, "GiB": _KIBI**3,
})  # fmt: skip

Duration = Annotated[float, DURATION]
"""Seconds. Bounds are given to the field."""
Seconds = Annotated[float, Field(gt=0, le=86400), DURATION]
"""A wait that must end, and within a day."""
Size = Annotated[int, SIZE]
"""Bytes. Bounds are given to the field."""
