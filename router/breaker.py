"""Whether one replica may be asked, judged by what came of its calls."""

from __future__ import annotations

from typing import Literal

State = Literal["closed", "suspect", "ejected", "probing", "slow_start"]


class Breaker:
    """Pure: every method is told the time, in seconds of any clock that only rises."""

    def __init__(self) -> None:
        self.state: State = "closed"

    def __repr__(self) -> str:
        return f"<Breaker {self.state}>"
