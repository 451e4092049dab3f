"""How long a place is held for the work of a request, from those that have just given theirs up."""

from __future__ import annotations

from collections.abc import Iterable
from math import exp

from router.rates import tamed

LEAST = 16
"""Requests that count at least, however seldom they come; else those of the last second."""
CLOCK_STEP = 0.001
"""Seconds; nothing is told to be shorter."""


class Pace:
    """Seconds that a place was held for each second of estimated work, over the latest requests.

    So many places as are taken get so much work done: by that who waits is told for how long. It does not matter
    whether long requests or short ones ended last, as both take as long as they work. It follows a capacity that
    changes within about as long as requests take; a burst of failures or one stuck request moves it little.
    """

    __slots__ = ("_at", "_held", "_recent", "_work")

    def __init__(self, now: float) -> None:
        self._at = now
        self._recent = 0.0  # requests that ended within the last second, decayed
        self._held = 0.0  # seconds of the latest
        self._work = 0.0  # and of their work

    def __repr__(self) -> str:
        return f"<Pace {self.held_per_work or 0.0:.3f} s for one of work, {self._recent:.0f} ended lately>"

    @property
    def held_per_work(self) -> float | None:
        """None until a request has ended."""
        return self._held / self._work if self._work else None

    def learn(self, ended: Iterable[tuple[float, float]], now: float) -> None:
        """Seconds of work, as estimated, and seconds held of each that has ended since the last call."""
        ended = list(ended)
        self._recent = self._recent * exp(self._at - now) + len(ended)
        self._at = now
        kept = 1 - 2 / (max(LEAST, self._recent) + 1)  # by age, as if so many requests counted alike
        for work, held in ended:
            believed = max(CLOCK_STEP, tamed(held, work * self._held / self._work) if self._work else held)
            self._held = self._held * kept + believed
            self._work = self._work * kept + work
