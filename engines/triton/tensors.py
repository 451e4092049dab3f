"""Values as Triton's wire has them: little-endian content of a named tensor, in the type and shape a model declares."""

from __future__ import annotations

import math
import struct
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from engines.generating.sampling import Value


class Tensor(NamedTuple):
    """One input of a request. Elements of BYTES have their length in front, as a uint32."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    content: bytes


FORMATS: Mapping[str, str] = {
    "BOOL": "?", "INT8": "b", "INT16": "h", "INT32": "i", "INT64": "q", "UINT8": "B", "UINT16": "H", "UINT32": "I",
    "UINT64": "Q", "FP16": "e", "FP32": "f", "FP64": "d",
}  # fmt: skip
"""How `struct` spells a datatype. BYTES stands apart; BF16 is none of struct's."""


@dataclass(slots=True, frozen=True)
class Declared:
    """An input or output as a model's config has it; `dims` without the batch dimension, -1 where any size goes."""

    datatype: str
    dims: tuple[int, ...] = (1,)
    optional: bool = True


class Slot:
    """An input that can be written: knows its type and how many values fit. `batched` adds the batch dimension."""

    __slots__ = ("_many", "_of_one", "_pack", "_real", "batched", "declared", "name")

    def __init__(self, name: str, declared: Declared, *, batched: bool) -> None:
        """Raises ValueError for a type or shape in which no plain value or list of values can be sent."""
        if declared.datatype != "BYTES" and declared.datatype not in FORMATS:
            raise ValueError(f"The input '{name}' has the datatype {declared.datatype}, which can't be sent.")
        if any(size not in (1, -1) for size in declared.dims):
            raise ValueError(f"The input '{name}' has the shape {list(declared.dims)}: it takes no single value.")
        self.name = name
        self.declared = declared
        self.batched = batched
        self._many = -1 in declared.dims
        self._of_one = self._shape(1)
        self._pack = None if declared.datatype == "BYTES" else struct.Struct("<" + FORMATS[declared.datatype]).pack
        self._real = declared.datatype[0] == "F"

    def __repr__(self) -> str:
        return f"<Slot {self.name} {self.declared.datatype}{list(self.declared.dims)}>"

    def holds(self, kind: type) -> bool:
        """Whether values of this type can be written here at all."""
        datatype = self.declared.datatype
        if kind in (str, bool):
            return datatype == ("BYTES" if kind is str else "BOOL")
        return datatype not in ("BYTES", "BOOL") and (kind is int or datatype in ("FP16", "FP32", "FP64"))

    def write(self, *values: Value) -> Tensor:
        """Raises ValueError where they are too many, or one is out of the datatype's range."""
        if len(values) == 1:
            return Tensor(self.name, self.declared.datatype, self._of_one, self._element(values[0]))
        if not self._many:
            raise ValueError("it takes one value")
        content = b"".join(map(self._element, values))
        return Tensor(self.name, self.declared.datatype, self._shape(len(values)), content)

    def _shape(self, count: int) -> tuple[int, ...]:
        """All values lie along the last dimension that takes any number."""
        shape = [1] * len(self.declared.dims)
        if self._many:
            shape[len(shape) - 1 - self.declared.dims[::-1].index(-1)] = count
        return (1, *shape) if self.batched else tuple(shape)

    def _element(self, value: Value) -> bytes:
        if self._pack is None or isinstance(value, str):
            return text_element(str(value))
        if self._real and not math.isfinite(value):
            raise ValueError("it is not a finite number")
        try:
            return self._pack(value)
        except (struct.error, OverflowError):
            raise ValueError("it is out of range") from None


def text_element(text: str) -> bytes:
    """One element of a BYTES tensor."""
    encoded = text.encode()
    return len(encoded).to_bytes(4, "little") + encoded


def read_text(content: bytes) -> bytes:
    """The one element of a BYTES tensor. Raises ValueError where there is another number of them."""
    if int.from_bytes(content[:4], "little") != len(content) - 4:
        raise ValueError("A text output does not hold exactly one text.")
    return content[4:]


def read_count(content: bytes) -> int:
    """The one element of an INT32 tensor that counts something. Raises ValueError for what can't be a count."""
    count = int.from_bytes(content, "little", signed=True)
    if len(content) != 4 or count < 0:
        raise ValueError("A count is not one whole number from 0 up.")
    return count


def read_floats(content: bytes) -> tuple[float, ...]:
    """All elements of an FP32 tensor. Raises ValueError where bytes are left over."""
    if len(content) % 4:
        raise ValueError("Numbers of 4 bytes each do not fill an output.")
    return struct.unpack(f"<{len(content) // 4}f", content)
