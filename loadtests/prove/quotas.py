"""Limits that several gateways share, held to by what clients saw and the model server counted, through all mishaps."""

from __future__ import annotations

import asyncio
import time
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from random import Random

import msgspec
import uvloop

from loadtests.bench.processes import wait_until
from loadtests.bench.stand import Stand, stand
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.quiet import in_flight
from loadtests.quotas.asking import Crowd
from loadtests.quotas.counted import SETTLES, Call, History, Killed
from loadtests.quotas.gateways import Gateway, Tenancy, tenancy
from loadtests.quotas.history import Limit, Passed, Window, worst
from loadtests.quotas.plans import BOUNDS, SLOTS, SLOTTED, Bound, plans
from loadtests.quotas.store import Store, running_store

FLEETS = {1: 1, 2: 2, 4: 2}
"""Seeds by the number of gateways."""
MANY = {1: 5, 2: 5, 4: 5, 8: 5}
KEYS, CALLERS = 2, 8
"""Of each tenant."""
SECONDS, KILLED_AT = 10.0, 4.0
PATIENCE = 20.0
UNUSED = 0.25
"""Of a burst; more would say that nobody has asked for all that a limit lets pass."""


def prove() -> Verdict:
    """No window sees more than rate x W + a burst + what was taken in advance, or reserved wrongly; 1 to 4 gateways."""
    return _proven(FLEETS)


def prove_seeds() -> Verdict:
    """The same with 20 seeds over 1 to 8 gateways."""
    return _proven(MANY)


def _proven(fleets: Mapping[int, int]) -> Verdict:
    found: dict[str, list[Window]] = defaultdict(list)
    unused: dict[str, float] = defaultdict(float)
    at_once, outcomes, seed = 0, Counter[str](), 0
    with stand() as place, running_store() as store:
        homes = tenancy(place, store.url, plans(BOUNDS), KEYS)
        for gateways, seeds in fleets.items():
            with homes.gateways(gateways) as fleet:
                for _ in range(seeds):
                    seed += 1
                    history = lived(homes, fleet, store, seed)
                    at_once = max(at_once, history.at_once(SLOTTED))
                    outcomes.update(f"{one.fate}: {one.ending} {one.status}" for one in history.asked)
                    for bound in BOUNDS:
                        limit = bound.limit(gateways)
                        windows = list(judged(history, bound, limit))
                        found[str(bound)] += windows
                        most = max(one.bursts for one in windows) + limit.ahead / limit.burst
                        unused[str(bound)] = max(unused[str(bound)], 1 - most)
                    print(f"  seed {seed}: {len(history.asked)} requests, {gateways} gateways", flush=True)
    bars = [Bar(f"bursts used, {name}", max(one.bursts for one in windows), 1.0) for name, windows in found.items()]
    bars += [
        Bar("bursts unused where most was left, by the holder who asked for most", max(unused.values()), UNUSED),
        Bar("requests of a tenant at once by the model server's count", at_once, SLOTS),
    ]
    return Verdict(bars, {"seeds": seed, "unused": unused, "outcomes": dict(sorted(outcomes.items()))})


def judged(history: History, bound: Bound, limit: Limit) -> Iterator[Window]:
    """The worst window of each holder of a limit."""
    holders: dict[tuple[str, int], list[Passed]] = defaultdict(list)
    for holder, passed in history.passed(bound):
        holders[holder].append(passed)
    return (worst(passed, limit) for passed in holders.values())


def lived(homes: Tenancy, fleet: Sequence[Gateway], store: Store, seed: int) -> History:
    """Everybody asks, with limits as if never used; in the middle of it a gateway is killed, and started again."""
    place, random = homes.place, Random(seed)
    quiet(place, fleet)
    with store.client() as client:
        client.flushall()
    time.sleep(2 * SETTLES)  # refusals that are remembered
    since = place.control("/_stats")["started"]
    crowd = Crowd([gateway.front.ports.public for gateway in fleet], homes.keys, random)
    killed: list[Killed] = []

    async def kill() -> None:
        await asyncio.sleep(KILLED_AT)
        victim = random.randrange(len(fleet))
        killed.append(Killed(victim, time.monotonic()))
        await asyncio.to_thread(fleet[victim].kill)
        await asyncio.to_thread(fleet[victim].start)

    async def live() -> None:
        async with asyncio.TaskGroup() as group:
            group.create_task(kill())
            group.create_task(crowd.ask(CALLERS, SECONDS))

    uvloop.run(live())
    quiet(place, fleet)
    calls = msgspec.convert(place.control(f"/_calls?since={since}"), list[Call])
    return History(crowd.asked, calls, killed)


def quiet(place: Stand, fleet: Sequence[Gateway]) -> None:
    """Nothing is under way any more."""
    wait_until(
        lambda: not any(in_flight(gateway.front) for gateway in fleet) and not place.control("/_stats")["running"],
        PATIENCE, "silence", step=0.05,
    )  # fmt: skip
