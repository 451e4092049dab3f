"""The upstream that is overloaded: few slots, a known capacity, and its own count of the work it did for nothing."""

from __future__ import annotations

from dataclasses import dataclass

import msgspec

from loadtests.bench.processes import wait_until
from loadtests.bench.stand import Stand

SLOTS, SERVICE_MS = 8, 100
CAPACITY = SLOTS / SERVICE_MS * 1e3
"""Answers a second, if nothing took time but the service."""
CALM = 10.0
"""Seconds in which what was under way when a load ended may come to its end."""


class Work(msgspec.Struct, frozen=True):
    """What the upstream did meanwhile.

    `wasted` calls had a slot when their client left, and took `wasted_s` seconds of slots.
    """

    calls: int
    finished: int
    cancelled: int
    wasted: int
    wasted_s: float


class _Call(msgspec.Struct):
    """What matters here of an entry in the upstream's log."""

    outcome: str | None
    served: float | None
    end: float | None


def calm(place: Stand) -> None:
    """Wait until nothing is left of the load before; then behave as ever, under load."""
    wait_until(lambda: not place.control("/_stats")["running"], CALM, "the end of the load before", step=0.05)
    place.control(slots=SLOTS, service_ms=SERVICE_MS)


@dataclass
class Watch:
    """Counts from when it is made."""

    place: Stand

    def __post_init__(self) -> None:
        self._before = self.place.control("/_stats")["started"]

    def work(self) -> Work:
        answer = self.place.control(f"/_calls?since={self._before}")
        calls = msgspec.convert(answer, list[_Call])
        cancelled = [call for call in calls if call.outcome == "cancelled"]
        wasted = [call.end - call.served for call in cancelled if call.served and call.end]
        finished = sum(call.outcome == "finished" for call in calls)
        return Work(len(calls), finished, len(cancelled), len(wasted), sum(wasted))
