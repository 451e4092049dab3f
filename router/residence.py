"""How long requests hold their place on a replica, from those that have just given it up."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp

from router.rates import tamed

LEAST = 16
"""Requests that count at least, however seldom they come; else those of the last second."""
CLOCK_STEP = 0.001
"""Seconds; nothing is told to be shorter."""


class Residence:
    """The mean seconds of the latest requests, each by its work: what Little's law needs to tell the service rate.

    It follows a capacity that changes within about as long as requests take, and a burst of failures or one stuck
    request moves it little.
    """

    __slots__ = ("_at", "_held", "_recent", "_work")

    def __init__(self, now: float) -> None:
        self._at = now
        self._recent = 0.0  # requests that ended within the last second, decayed
        self._held = 0.0  # sum of work * held of the latest
        self._work = 0.0  # and of work

    def __repr__(self) -> str:
        return f"<Residence {self.mean or 0.0:.3f} s, {self._recent:.0f} ended lately>"

    @property
    def mean(self) -> float | None:
        """Seconds; None until a request has ended."""
        return self._held / self._work if self._work else None

    def learn(self, ended: Iterable[tuple[float, float]], now: float) -> None:
        """Seconds of work, as estimated, and seconds held of each that has ended since the last call."""
        ended = list(ended)
        self._recent = self._recent * exp(self._at - now) + len(ended)
        self._at = now
        kept = 1 - 2 / (max(LEAST, self._recent) + 1)  # by age, as if so many requests counted alike
        for work, held in ended:
            believed = max(CLOCK_STEP, tamed(held, self._held / self._work) if self._work else held)
            self._held = self._held * kept + work * believed
            self._work = self._work * kept + work
