"""When clients come: an open loop of Poisson arrivals, the same for the same seed, whatever becomes of them."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from loadtests.overload.plan import Phase


def arrivals(phases: Sequence[Phase], random: Random) -> list[float]:
    """Seconds since the beginning, ascending.

    Each phase has exactly as many as its rate says, since a proof that compares goodput with capacity wants to know
    the demand, too: given their number, Poisson arrivals are independent and anywhere in their time.
    """
    times: list[float] = []
    start = 0.0
    for phase in phases:
        count = round(phase.seconds * phase.rate)
        times += sorted(start + phase.seconds * random.random() for _ in range(count))
        start += phase.seconds
    return times
