"""The two forms of what is logged: readable lines for a terminal, a JSON object per line for everything else."""

from __future__ import annotations

import time
from typing import Final, Literal, TextIO

Form = Literal["console", "json"]
FORMS: Final[tuple[Form, ...]] = ("console", "json")
LEVELS: Final = ("debug", "info", "warning", "error")
"""How much is said of the gateway's own state. Every request has its line at each of them."""


def form_for(stream: TextIO, asked: Form | None = None) -> Form:
    """What was asked for; else by where the lines go: a person reads a terminal, a program reads the rest."""
    if asked is not None:
        return asked
    return "console" if stream.isatty() else "json"


class Timestamps:
    """RFC 3339, UTC, milliseconds. Lines of one second share the work of the long part, of one millisecond all."""

    def __init__(self) -> None:
        self._second = self._ms = -1
        self._prefix = self._text = ""

    def __repr__(self) -> str:
        return f"<Timestamps, last in {self._prefix or 'no second'}>"

    def of(self, unix_ms: int) -> str:
        if unix_ms != self._ms:
            second, ms = divmod(unix_ms, 1000)
            if second != self._second:
                self._second, self._prefix = second, time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))
            self._ms, self._text = unix_ms, f"{self._prefix}.{ms:03d}Z"
        return self._text
