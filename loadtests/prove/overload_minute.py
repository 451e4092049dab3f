"""A minute of ten times what the upstream can do: what it leaves behind, and whether what refusals say is true."""

from __future__ import annotations

import msgspec

from loadtests.bench import bodies
from loadtests.overload.load import LAG_MS, Load, Target, load
from loadtests.overload.plan import Attempt, Phase, Retries, Source
from loadtests.overload.stand import admitting
from loadtests.overload.upstream import CAPACITY
from loadtests.prove.evidence import Bar, Verdict

FLOOD, TIMES = 60.0, 10.0
USUAL, AFTER = 0.2, 12.0
"""Load afterwards, as a multiple of capacity, and its seconds."""
SETTLING = 5.0
PATIENT, PATIENT_SECONDS = 20.0, 5.0
"""Clients a second who wait for as long as they are told to, however often; they come at the end of the flood, and
are no more than the upstream can serve when they come back together."""
OFTEN = 10
FALLEN = 0.5
"""Seconds after the flood until what waited in it has been served: from then on there is room."""
TRIALS = 40
LONGEST_WAIT = 120.0
"""Seconds beyond which client libraries do not come back."""


def phases(*parts: tuple[float, float]) -> list[Phase]:
    return [Phase(seconds, rate) for seconds, rate in parts]


def flood(target: Target) -> Load:
    body = bodies.chat().decode()
    before = FLOOD - PATIENT_SECONDS
    rate = TIMES * CAPACITY
    return load(
        target,
        [
            Source("all", phases((before, rate), (PATIENT_SECONDS, rate - PATIENT), (AFTER, USUAL * CAPACITY)), body),
            Source("patient", phases((before, 0), (PATIENT_SECONDS, PATIENT)), body, retries=Retries(OFTEN, deaf=0)),
        ],
    )


def wrong(attempt: Attempt) -> bool:
    """An ending that no client must see: no answer, a failure, or a refusal that does not say when to come back."""
    if attempt.refused:
        return not 0 < attempt.retry_after <= LONGEST_WAIT
    return not attempt.served


def prove() -> Verdict:
    """P10: a minute at 10x leaves nothing behind, and who comes back when a refusal says so is served."""
    with admitting() as place, place.gateway() as (gateway, _):
        one = flood(Target(place, gateway, place.ports.public))
    meanwhile = one.tally(SETTLING, FLOOD)
    after = one.tally(FLOOD + SETTLING, FLOOD + AFTER)
    patient = [
        attempt for attempt in one.attempts if attempt.source == 1 and attempt.retry and attempt.at >= FLOOD + FALLEN
    ]
    in_vain = [attempt for attempt in patient if not attempt.served]
    bars = [
        Bar("capacity that is no goodput in a minute of 10x, of 1", 1 - meanwhile.goodput / CAPACITY, 0.1),
        Bar("answers meanwhile, p99 ms", meanwhile.ok_ms.p99, 600),
        Bar("refusals meanwhile, p99 ms", meanwhile.refusal_ms.p99, 50),
        Bar(
            "endings other than an answer or a refusal that says when to come back",
            sum(map(wrong, one.attempts)),
            0,
            exact=True,
        ),
        Bar("RSS growth, MB", max(one.rss_mb) - one.rss_mb[0], 50),
        Bar("requests without a good answer from 5 s after the flood, of 1", 1 - after.share("good"), 0, exact=True),
        Bar(
            "clients fewer than 40 that came back after the flood as told",
            max(0, TRIALS - len(patient)),
            0,
            exact=True,
        ),
        Bar("of those, who were not served, of 1", len(in_vain) / max(1, len(patient)), 0.05),
        Bar("lag of the generator, p99 ms", one.lag_ms, LAG_MS),
    ]
    figures = {
        "meanwhile": msgspec.to_builtins(meanwhile), "afterwards": msgspec.to_builtins(after),
        "came_back": len(patient), "in_vain": msgspec.to_builtins(in_vain), "rss_mb": one.rss_mb,
    }  # fmt: skip
    return Verdict(bars, one.figures() | figures)
