"""Refuses new requests, before their bodies, while the process has more in hand than it can bear."""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Iterator
from itertools import cycle
from math import ceil
from typing import Final, Literal, Protocol, get_args

from engines.sweeper import TICK
from gateway.errors import FILES_SHORT, LOOP_LATE, MEMORY_SHORT, Problem
from gateway.exposition import family, labels
from gateway.idling import Idlers

_logger = logging.getLogger("snowshed")

Reason = Literal["memory", "files", "lag"]
REASONS: Final[tuple[Reason, ...]] = get_args(Reason)
_PROBLEMS: Final[dict[Reason, Problem]] = {"memory": MEMORY_SHORT, "files": FILES_SHORT, "lag": LOOP_LATE}

SELDOM: Final = 1.0
"""Seconds between two looks at what takes a while to grow and costs something to read."""
FILES_HIGH, FILES_LOW = 0.80, 0.75
"""Shares of what may be open: from where on there is too much, and down to where."""
JITTER: Final = 8
"""Different times at which those refused are asked to come back, between one second and two."""


class Vitals(Protocol):
    """Readings of this process: seconds of a processor had so far, shares (0 to 1) of what it may have, and how many
    files that is.
    """

    def worked(self) -> float: ...
    def memory(self) -> float: ...
    def files(self) -> float: ...
    def most_files(self) -> int: ...


class Strain:
    """One thing of which there can be too much: on once every reading of `rise` seconds was above `high`, off once
    every reading of `fall` seconds was below `low`. One odd reading between begins the time anew.
    """

    def __init__(self, high: float, low: float, rise: float, fall: float) -> None:
        self._bounds = high, low
        self._spans = rise, fall
        self._since: float | None = None  # when readings began to speak for a change
        self.on = False

    def __repr__(self) -> str:
        return f"<Strain over {self._bounds[0]:g}, {'on' if self.on else 'off'}>"

    def note(self, now: float, reading: float) -> None:
        high, low = self._bounds
        if not (reading < low if self.on else reading > high):
            self._since = None
            return
        if self._since is None:
            self._since = now
        if now - self._since >= self._spans[self.on]:
            self.on = not self.on
            self._since = None


class SelfProtection:
    """Beaten by the loop every `TICK`; any thread may read it. Times are seconds on the loop's clock.

    A gateway that serves one request and no other still takes it: then it is not requests that are too many.
    """

    def __init__(self, vitals: Vitals) -> None:
        self.reason: Reason | None = None
        """Why requests are refused now; None if they are not."""
        self.refused: Counter[Reason] = Counter()
        self.vitals = vitals
        self.idlers = Idlers()
        """Connections that go before anybody is refused for want of files."""
        self._strains: dict[Reason, Strain] = {
            "memory": Strain(0.85, 0.80, 0.0, 5.0),
            "files": Strain(FILES_HIGH, FILES_LOW, 0.0, 5.0),
            "lag": Strain(0.05, 0.025, 1.0, 2.0),  # a second of late beats and no good one: no collection, no hiccup
        }
        self._problems = {
            reason: cycle([problem.but(retry_after=1 + n / JITTER) for n in range(1, JITTER + 1)])
            for reason, problem in _PROBLEMS.items()
        }
        self._beaten_at = self._read_at = float("-inf")
        self._worked = 0.0

    def __repr__(self) -> str:
        return f"<SelfProtection {self.reason or 'at ease'}, {self.refused.total()} refused>"

    def beat(self, now: float) -> None:
        """Read and judge. The first beat is late by however long the start took, which is no lag."""
        strains, vitals = self._strains, self.vitals
        strains["lag"].note(now, self._late(now))
        if now - self._read_at >= SELDOM:
            self._read_at = now
            strains["memory"].note(now, vitals.memory())
            strains["files"].note(now, self._files())
        reason = next((reason for reason in REASONS if strains[reason].on), None)
        if reason != self.reason:
            self.reason = reason
            if reason is None:
                _logger.info("requests taken again")
            else:
                _logger.warning("requests refused", extra={"reason": reason})

    def _files(self) -> float:
        """The share that is open, without connections that were idle and have just been closed for it."""
        vitals = self.vitals
        files = vitals.files()
        if files <= (FILES_LOW if self._strains["files"].on else FILES_HIGH):
            return files
        most = vitals.most_files()
        return files - self.idlers.close(ceil((files - FILES_LOW) * most)) / most

    def _late(self, now: float) -> float:
        """Lateness by the loop's own work: of that by others who had the processor, no request less takes any away."""
        passed, worked = now - self._beaten_at, self.vitals.worked()
        share = (worked - self._worked) / passed
        self._beaten_at, self._worked = now, worked
        return (passed - TICK) * share if share else 0.0

    def refusal(self, reason: Reason) -> Problem:
        """What the next request is told that is refused for it."""
        self.refused[reason] += 1
        return next(self._problems[reason])

    def warnings(self) -> list[str]:
        """For readiness, which it does not touch: to drain or restart an instance would only load the others."""
        return [] if self.reason is None else [_PROBLEMS[self.reason].message]

    def lines(self) -> Iterator[str]:
        """A `Source` for the metrics."""
        yield from family(
            "gauge", "snowshed_self_protection", "Whether new requests are refused to save the process, and for what.",
            [(labels(("reason",), (reason,)), int(reason == self.reason)) for reason in REASONS],
        )  # fmt: skip
        yield from family(
            "counter", "snowshed_self_protection_refused_total", "Requests refused to save the process.",
            [(labels(("reason",), (reason,)), self.refused[reason]) for reason in REASONS],
        )  # fmt: skip
