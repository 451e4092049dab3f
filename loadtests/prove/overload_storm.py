"""Clients that don't take no for an answer, and an upstream that loses half of itself: whether it passes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from loadtests.bench import bodies
from loadtests.overload.load import LAG_MS, Event, Load, Target, load
from loadtests.overload.plan import Phase, Retries, Source
from loadtests.overload.stand import admitting
from loadtests.overload.upstream import CAPACITY, SLOTS
from loadtests.prove.evidence import Bar, Verdict

USUAL = 0.9
"""Load before and after trouble, as a multiple of capacity."""
BEFORE, SURGE, HALVED, AFTER = 3.0, 10.0, 20.0, 10.0
"""Seconds of each part."""
SETTLING = 5.0
"""Seconds after which all has to be well, or trouble has shown what it does."""
STUCK = 0.5
"""Share of what is asked for: a proxy that stays below it, long after the trouble, does not come back by itself."""


@dataclass(frozen=True)
class Trouble:
    """From BEFORE on for so many seconds: clients come at `times` capacity, of which the upstream has `share`."""

    name: str
    seconds: float
    times: float
    share: float = 1.0

    @property
    def end(self) -> float:
        return BEFORE + self.seconds

    def load(self, target: Target) -> Load:
        phases = [(BEFORE, USUAL), (self.seconds, self.times), (AFTER, USUAL)]
        source = Source(
            "all",
            [Phase(seconds, times * CAPACITY) for seconds, times in phases],
            bodies.chat().decode(),
            retries=Retries(),
        )
        control = target.place.control
        changes = [
            Event(BEFORE, lambda: control(slots=round(SLOTS * self.share))),
            Event(self.end, lambda: control(slots=SLOTS)),
        ]
        return load(target, [source], changes if self.share < 1 else [])

    def goodput(self, one: Load) -> dict[str, float]:
        """Before, during and after it: as a share of what is asked for, or of what the upstream can do if that is less.

        Where clients come back whom nobody has served, it may be above 1.
        """
        spans = {
            "before": (BEFORE - 2, BEFORE, USUAL),
            "meanwhile": (self.end - self.seconds / 2, self.end, min(self.times, self.share)),
            "afterwards": (self.end + SETTLING, self.end + AFTER, USUAL),
        }
        return {
            name: one.tally(start, end).goodput / (possible * CAPACITY)
            for name, (start, end, possible) in spans.items()
        }


SURGES = [Trouble("a surge to 2x", SURGE, 2.0), Trouble("a surge to 5x", SURGE, 5.0)]
LOSS = Trouble("half of the upstream away for 20 s", HALVED, USUAL, 0.5)


def prove() -> Verdict:
    """Callers who come back at once make no storm last: goodput is there in trouble, and 5 s later as ever."""
    bars: list[Bar] = []
    figures: dict[str, Any] = {}

    def meet(who: str, trouble: Trouble, target: Target) -> dict[str, float]:
        one = trouble.load(target)
        goodput = trouble.goodput(one)
        figures[f"{who}, {trouble.name}"] = one.figures() | {
            "goodput": goodput,
            "surge": msgspec.to_builtins(one.tally(BEFORE, trouble.end)),
        }
        lags.append(one.lag_ms)
        return goodput

    lags: list[float] = []
    with admitting() as place:
        with place.gateway() as (gateway, _):
            for trouble in (*SURGES, LOSS):
                goodput = meet("Snowshed", trouble, Target(place, gateway, place.ports.public))
                bars += [
                    Bar(f"{trouble.name}: goodput {when} missing, share", 1 - goodput[when], 0.05)
                    for when in ("meanwhile", "afterwards")
                ]
        with place.baseline() as raw:
            for trouble in (SURGES[0], LOSS):
                goodput = meet("a bare proxy", trouble, Target(place, raw, place.ports.raw))
                bars += [
                    Bar(f"{trouble.name}: goodput of a bare proxy afterwards, share", goodput["afterwards"], STUCK)
                ]
    return Verdict([*bars, Bar("lag of the generator, p99 ms, at worst", max(lags), LAG_MS)], figures)
