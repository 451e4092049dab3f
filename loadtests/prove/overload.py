"""An upstream of eight slots under up to twenty times what it can do, behind Snowshed and behind a bare proxy."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.bench import bodies
from loadtests.overload.load import LAG_MS, Target, load
from loadtests.overload.plan import Phase, Source
from loadtests.overload.stand import admitting
from loadtests.overload.table import Row, table
from loadtests.overload.upstream import CAPACITY
from loadtests.prove.evidence import Bar, Verdict

LOADS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
BARE = (0.5, 1.0, 2.0, 5.0)
WARM_UP, SECONDS = 3.0, 12.0
COLLAPSED = 0.5
"""Share of capacity that nobody may call goodput under load."""


def under_load(target: Target, name: str, loads: Sequence[float]) -> Row:
    """Each load for so long; what is counted is so much of it that comes after the warm-up."""
    row = Row(name)
    for times in loads:
        source = Source("all", [Phase(WARM_UP + SECONDS, times * CAPACITY)], bodies.chat().decode())
        one = load(target, [source])
        row.seen[times] = one, one.tally(WARM_UP, WARM_UP + SECONDS)
    return row


def bars(ours: Row, bare: Row) -> list[Bar]:
    seen = ours.seen
    served = seen[0.5][1].share("good")
    held = [
        Bar("requests without a good answer at 0.5x, share", 1 - served, 0, exact=True),
        *(
            Bar(f"capacity that is no goodput at {times:g}x, share", 1 - seen[times][1].goodput / CAPACITY, 0.02)
            for times in LOADS
            if times >= 1
        ),
        *(Bar(f"refusals at {times:g}x, p50 ms", seen[times][1].refusal_ms.p50, 1.0) for times in LOADS if times > 1),
        Bar("answers at 5x, p99 ms", seen[5.0][1].ok_ms.p99, 600),
    ]
    for times, (one, counts) in seen.items():
        held += [
            Bar(f"upstream calls whose client left, at {times:g}x", one.work.cancelled, 0, exact=True),
            Bar(f"clients neither answered nor refused at {times:g}x", counts.unanswered, 0, exact=True),
        ]
    held += [
        Bar(f"goodput of a bare proxy at {times:g}x, share of capacity", counts.goodput / CAPACITY, COLLAPSED)
        for times, (_, counts) in bare.seen.items()
        if times > 1
    ]
    lags = [one.lag_ms for row in (ours, bare) for one, _ in row.seen.values()]
    return [*held, Bar("lag of the generator, p99 ms, at worst", max(lags), LAG_MS)]


def prove() -> Verdict:
    """At 1x to 20x of what eight slots can do, Snowshed makes good answers of it, and refuses the rest at once."""
    with admitting() as place:
        with place.gateway() as (gateway, _):
            ours = under_load(Target(place, gateway, place.ports.public), "Snowshed", LOADS)
        with place.baseline() as raw:
            bare = under_load(Target(place, raw, place.ports.raw), "a bare proxy", BARE)
    rows = [ours, bare]
    lines = table(rows, LOADS)
    print(lines, flush=True)
    return Verdict(bars(ours, bare), {"table": lines.splitlines(), **{row.name: row.figures() for row in rows}})
