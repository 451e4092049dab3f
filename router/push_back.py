"""How much less a replica gets after it has said that it has too much to do, and for how long."""

from __future__ import annotations

from math import exp2, inf, log2

from router.outcomes import SPAN

LEAST = 0.05
"""It is asked so much at least, to see when it is idle again."""
QUIET, LONGEST = 0.5, 5.0
"""Seconds without a push-back before it gets more, if it does not say; and at most, if it does."""
RARE = 20
"""Answers since the last push-back after which another one, that does not say for how long, tells nothing of its load:
who has too much to do refuses more than one in so many.
"""
DOUBLING = 0.1
"""Seconds in which it gets twice as much again then."""


class PushBack:
    """Pure. Each push-back halves the share, but for rare ones; after some quiet it is whole again in half a second."""

    __slots__ = ("_last", "_low", "quiet_at")

    def __init__(self) -> None:
        self._low = 1.0
        self._last = -inf
        self.quiet_at = 0.0
        """When it may get more."""

    def __repr__(self) -> str:
        return f"<PushBack to {self._low:.2f} until {self.quiet_at:.1f}>"

    def note(self, now: float, retry_after: float | None, answered: float) -> None:
        """It has refused; `retry_after` in seconds, None if it did not say; `answered`: calls, in the last SPAN."""
        since, self._last = now - self._last, now
        if retry_after is None and answered * min(since / SPAN, 1.0) >= RARE:
            return
        self._low = max(LEAST, self.share(now) / 2)
        quiet = QUIET if retry_after is None else min(max(retry_after, 0.0), LONGEST)
        self.quiet_at = max(self.quiet_at, now + quiet)

    def share(self, now: float) -> float:
        """Over 0 to 1; 1: it does not push back."""
        doublings = (now - self.quiet_at) / DOUBLING
        if doublings <= 0:
            return self._low
        return 1.0 if doublings >= -log2(self._low) else self._low * exp2(doublings)
