"""When those who were refused are told to come back: so that they find room, if all of them do as they are told."""

from __future__ import annotations

SOONEST, LATEST = 1.0, 30.0
"""Seconds after which who is refused may come back; who tells it spreads it, lest all come at once."""
AHEAD = 10.0
"""Seconds that are booked ahead at most: who comes back at once has booked as well, and a model that has just been
started is thought to be slower than it is.
"""


class Comebacks:
    """Each who is told books what it takes to serve one like it, behind those of its class and tenant told before.

    So one tenant's flood moves only its own callers further away. It keeps a number for each tenant that was refused
    within the last seconds. Times: loop seconds.
    """

    __slots__ = ("_booked",)

    def __init__(self) -> None:
        self._booked: tuple[dict[str, float], ...] = ({}, {}, {})
        """By class and tenant, until when what is served is for those who have been told."""

    def __repr__(self) -> str:
        return f"<Comebacks of {sum(map(len, self._booked))} tenants>"

    def book(self, rank: int, tenant: str, now: float, wait: float, takes: float) -> float:
        """Seconds after which to come back: not before `wait`; `takes` more are booked for it then."""
        booked = self._booked[rank]
        begins = max(booked.get(tenant, 0.0), now + wait)
        booked[tenant] = min(begins + takes, now + AHEAD)
        return max(SOONEST, min(begins - now, LATEST))

    def forget(self, now: float) -> None:
        """Those whose time has come."""
        for booked in self._booked:
            for tenant in [tenant for tenant, until in booked.items() if until <= now]:
                del booked[tenant]
