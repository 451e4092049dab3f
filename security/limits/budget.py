"""How much money a holder may spend in a period of the calendar. What is spent does not drain: it begins anew."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Final, Literal

Period = Literal["day", "month"]

DEAREST: Final = 10**15
"""Millionths that a budget has at most: sums of them are still exact as a script's numbers."""


@dataclass(slots=True, frozen=True)
class Budget:
    """`limit` millionths of the unit that prices are in, of one holder from `begins` to `ends` (Unix seconds).

    `key` is its name in every store, and names the period; `holder` is whose it is, by members of the ledger's
    (`tenant`, `key`, `model`), each with its value. Without `enforce` it refuses nobody, and what it would have refused
    is told. Raises ValueError.
    """

    key: str
    limit: int
    period: Period
    begins: int
    ends: int
    holder: tuple[tuple[str, str], ...] = ()
    enforce: bool = True

    def __post_init__(self) -> None:
        if not 1 <= self.limit <= DEAREST:
            raise ValueError("a budget takes from a millionth to a thousand million")

    def holds(self, at: int) -> bool:
        """At a time in Unix seconds."""
        return self.begins <= at < self.ends


Ledger = Callable[[Sequence[Budget]], Awaitable[Sequence[int]]]
"""Gives the millionths that are written down of each budget's holder in its period. Raises LimitsAway."""
