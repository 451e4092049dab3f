"""Reads what a GGUF file says of its tokenizer: the metadata in front of the weights, and nothing of the weights.

Every count and length comes from the file, so none is believed: each is held against what is left of the file before
anything is read or built.
"""

from __future__ import annotations

import mmap
import struct
from pathlib import Path
from typing import Any

MAGIC = b"GGUF"
VERSIONS = (2, 3)  # 1 counted in 32 bits, and nobody writes it any more
ENTRIES = 65_536
"""More than any model has; each costs a little even if it is skipped."""
ITEMS = 4_194_304
"""Ten times the longest list (merges) that a model has."""
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
STRING, ARRAY = 8, 9


def read_metadata(path: Path, prefix: str = "tokenizer.") -> dict[str, Any]:
    """The entries whose key begins with `prefix`: numbers, booleans, strings, and lists of these.

    Raises ValueError if the file is no GGUF, or is cut short or broken before the end of its metadata; OSError.
    """
    with path.open("rb") as file:
        try:
            data = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
        except ValueError as error:  # an empty file
            raise ValueError(f"{path.name} is empty.") from error
        with data:
            try:
                return _Reader(data).entries(prefix.encode())
            except (ValueError, struct.error) as error:
                raise ValueError(f"{path.name} is no readable GGUF file: {error}.") from error


class _Reader:
    """A position in the file, which only moves forward and never past the end."""

    def __init__(self, data: mmap.mmap) -> None:
        self._data = data
        self._at = 0

    def __repr__(self) -> str:
        return f"<_Reader at {self._at} of {len(self._data)}>"

    def entries(self, prefix: bytes) -> dict[str, Any]:
        if self._take(4) != MAGIC:
            raise ValueError("it does not begin with GGUF")
        if (version := self._scalar("I")) not in VERSIONS:
            raise ValueError(f"version {version} in this byte order is not supported")
        self._scalar("Q")  # tensors
        if (count := self._scalar("Q")) > ENTRIES:
            raise ValueError(f"{count} entries of metadata")
        found: dict[str, Any] = {}
        for _ in range(count):
            key, kind = self._string(), self._scalar("I")
            keep = key.startswith(prefix)
            value = self._value(kind, keep=keep)
            if keep:
                found[key.decode()] = value
        return found

    def _value(self, kind: int, *, keep: bool) -> Any:
        if kind == ARRAY:
            return self._array(keep=keep)
        if kind == STRING:
            text = self._string()
            return text.decode() if keep else None
        return self._scalar(_format(kind))

    def _array(self, *, keep: bool) -> list[Any]:
        kind, count = self._scalar("I"), self._scalar("Q")
        if count > ITEMS:
            raise ValueError(f"a list of {count} items")
        if kind == STRING:
            return [self._string().decode() for _ in range(count)] if keep else self._skip(count)
        code = _format(kind)
        raw = self._take(count * struct.calcsize(code))
        return list(struct.unpack(f"<{count}{code}", raw)) if keep else []

    def _skip(self, strings: int) -> list[Any]:
        for _ in range(strings):
            self._string()
        return []

    def _string(self) -> bytes:
        return self._take(self._scalar("Q"))

    def _scalar(self, code: str) -> Any:
        return struct.unpack(f"<{code}", self._take(struct.calcsize(code)))[0]

    def _take(self, size: int) -> bytes:
        end = self._at + size
        if end > len(self._data):
            raise ValueError("it ends in the midst of its metadata")
        taken = self._data[self._at : end]
        self._at = end
        return taken


def _format(kind: int) -> str:
    if kind not in SCALARS:
        raise ValueError(f"a value of the unknown type {kind}")
    return SCALARS[kind]
