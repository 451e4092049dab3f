"""Puts what is written within one turn of the loop together: each write costs a system call, and wakes the server."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

ENOUGH = 1 << 16
"""Bytes that do not wait for more."""


class Bundle:
    """What is added leaves by `write` before the loop waits again, or at once when it is much."""

    __slots__ = ("_loop", "_pieces", "_size", "_write")

    def __init__(self, loop: asyncio.AbstractEventLoop, write: Callable[[bytes], None]) -> None:
        self._loop = loop
        self._write = write
        self._pieces: list[bytes] = []
        self._size = 0

    def __repr__(self) -> str:
        return f"<Bundle of {self._size} B>"

    def add(self, data: bytes) -> None:
        if not self._pieces:
            self._loop.call_soon(self.send)
        self._pieces.append(data)
        self._size += len(data)
        if self._size >= ENOUGH:
            self.send()

    def send(self) -> None:
        """All that is there, now."""
        pieces, self._pieces, self._size = self._pieces, [], 0
        if pieces:
            self._write(b"".join(pieces))
