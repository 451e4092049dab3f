"""One keep-alive connection of the crowd, and what it is busy with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from loadtests.bench.client import Connection

if TYPE_CHECKING:
    from loadtests.overload.crowd import Asking, Crowd


class Visit(Connection):
    """Carries one attempt at a time, and tells the crowd how it ended."""

    def __init__(self, crowd: Crowd) -> None:
        super().__init__()
        self._crowd = crowd
        self._asking: Asking
        self._told: dict[bytes, float] = {}

    def carry(self, asking: Asking, request: bytes) -> None:
        self._asking = asking
        self._told = {}
        self.ask(request)

    def on_header(self, name: bytes, value: bytes) -> None:
        if (name := name.lower()).startswith(b"retry-after"):
            self._told[name] = float(value)

    def answered(self, status: int) -> None:
        asking, told = self._asking, self._told
        asking.attempt.status = status
        asking.attempt.retry_after = told.get(b"retry-after-ms", 1e3 * told.get(b"retry-after", 0.0)) / 1e3
        if self.open:
            self._crowd.keep(self)
        self._crowd.end(asking, "answered")

    def lost(self) -> None:
        self._crowd.end(self._asking, "lost")
