"""How much may be tried again: a share of what was admitted lately, so that failing servers never get a storm."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

SLICES = 10
"""The window moves on by such parts of itself."""


@dataclass(slots=True)
class _Slice:
    """Tokens admitted and retried, and requests retried beyond the share, within one part of the window."""

    admitted: int = 0
    retried: int = 0
    floored: int = 0


class RetryBudget:
    """Of the last `window` seconds' admitted work tokens, `share` may be retried; and `floor` requests besides.

    The floor is for times of few requests, of which a share is less than one. `clock` tells seconds.
    """

    def __init__(self, clock: Callable[[], float], share: float = 0.10, window: float = 10.0, floor: int = 10) -> None:
        self._clock = clock
        self._share = share
        self._floor = floor
        self._length = window / SLICES
        self._latest = _Slice()
        self._slices = deque([self._latest], maxlen=SLICES)
        self._until = clock() + self._length

    def __repr__(self) -> str:
        admitted, retried, floored = self._sums()
        return (
            f"<RetryBudget {retried} of {self._share * admitted:.0f} tokens taken, "
            f"and {floored} of {self._floor} requests>"
        )

    def admitted(self, work_tokens: int) -> None:
        """Count a first attempt."""
        if self._clock() >= self._until:
            self._move_on()
        self._latest.admitted += work_tokens

    def may_retry(self, work_tokens: int) -> bool:
        """Whether one more attempt at so much work may be made; if so, it is taken from the budget."""
        if self._clock() >= self._until:
            self._move_on()
        admitted, retried, floored = self._sums()
        if retried + work_tokens <= self._share * admitted:
            self._latest.retried += work_tokens
        elif floored < self._floor:
            self._latest.floored += 1
        else:
            return False
        return True

    def _sums(self) -> tuple[int, int, int]:
        slices = self._slices
        return (
            sum(each.admitted for each in slices),
            sum(each.retried for each in slices),
            sum(each.floored for each in slices),
        )

    def _move_on(self) -> None:
        passed = int((self._clock() - self._until) / self._length) + 1
        self._slices.extend(_Slice() for _ in range(min(passed, SLICES)))
        self._latest = self._slices[-1]
        self._until += passed * self._length
