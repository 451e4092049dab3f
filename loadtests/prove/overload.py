"""An upstream of eight slots under up to twenty times what it can do, behind Snowshed and behind a bare proxy."""

from __future__ import annotations

from collections.abc import Sequence

from loadtests.bench import bodies
from loadtests.bench.stand import Stand
from loadtests.overload.load import LAG_MS, Target, load
from loadtests.overload.plan import Phase, Source
from loadtests.overload.stand import admitting
from loadtests.overload.table import Row, table
from loadtests.overload.upstream import CAPACITY
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.shadow import total

LOADS = (0.5, 1.0, 2.0, 5.0, 10.0, 20.0)
BARE = (1.0, 2.0, 5.0)
WARM_UP, SECONDS = 3.0, 10.0
HEAD_START = 0.5
"""Seconds of far too much, so that from then on there is a queue."""
COLLAPSED = 0.5
"""Share of capacity that nobody may call goodput under load."""


def capacity(target: Target) -> float:
    """What the upstream does in a second while there is always somebody who waits for it, for ever."""
    phases = [Phase(HEAD_START, 4 * CAPACITY), Phase(SECONDS, CAPACITY)]
    one = load(target, [Source("all", phases, bodies.chat().decode())], patience=60)
    return sum(HEAD_START <= attempt.ended < HEAD_START + SECONDS for attempt in one.attempts) / SECONDS


def under_load(target: Target, row: Row, loads: Sequence[float]) -> None:
    """Each load for so long; what is counted is so much of it that comes after the warm-up."""
    for times in loads:
        source = Source("all", [Phase(WARM_UP + SECONDS, times * CAPACITY)], bodies.chat().decode())
        one = load(target, [source])
        row.seen[times] = one, one.tally(WARM_UP, WARM_UP + SECONDS)


def own_count(place: Stand, refused: int) -> Bar:
    """Whether the gateway's metrics have the refusals that clients saw."""
    return Bar(
        "refusals by the gateway's count, away from the clients'",
        abs(total(place, r"snowshed_shed_total\{[^}]*\}") - refused),
        0,
        exact=True,
    )


def bars(ours: Row, bare: Row) -> list[Bar]:
    seen = ours.seen
    over = [times for times in LOADS if times > 1]
    held = [Bar("requests without a good answer at 0.5x, share", 1 - seen[0.5][1].share("good"), 0, exact=True)]
    held += [
        Bar(f"capacity that is no goodput at {times:g}x, share", 1 - ours.goodput(times), 0.02)
        for times in (1.0, *over)
    ]
    held += [Bar(f"refusals at {times:g}x, p50 ms", seen[times][1].refusal_ms.p50, 1.0) for times in over]
    held.append(Bar("answers at 5x, p99 ms", seen[5.0][1].ok_ms.p99, 600))
    for times, (one, counts) in seen.items():
        held += [
            Bar(f"upstream calls whose client left, at {times:g}x", one.work.cancelled, 0, exact=True),
            Bar(f"clients neither answered nor refused at {times:g}x", counts.unanswered, 0, exact=True),
        ]
    held += [
        Bar(f"goodput of a bare proxy at {times:g}x, share of capacity", bare.goodput(times), COLLAPSED)
        for times in bare.seen
        if times > 1
    ]
    lags = [one.lag_ms for row in (ours, bare) for one, _ in row.seen.values()]
    return [*held, Bar("lag of the generator, p99 ms, at worst", max(lags), LAG_MS)]


def prove() -> Verdict:
    """At 1x to 20x of what eight slots can do, Snowshed makes good answers of it, and refuses the rest at once."""
    with admitting() as place:
        with place.baseline() as raw:
            target = Target(place, raw, place.ports.raw)
            able = capacity(target)
            bare = Row("a bare proxy", able)
            under_load(target, bare, BARE)
        with place.gateway() as (gateway, _):
            ours = Row("Snowshed", able)
            under_load(Target(place, gateway, place.ports.public), ours, LOADS)
            refused = sum(attempt.refused for one, _ in ours.seen.values() for attempt in one.attempts)
            count = own_count(place, refused)
    lines = table([bare, ours], LOADS)
    print(lines, flush=True)
    figures = {row.name: row.figures() for row in (bare, ours)}
    return Verdict([*bars(ours, bare), count], {"table": lines.splitlines(), "capacity": able, **figures})
