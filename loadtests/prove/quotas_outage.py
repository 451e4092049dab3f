"""The store of limits is far away, forgets, is frozen, killed and restarted empty, while callers go on asking."""

from __future__ import annotations

import asyncio
import http.client
import re
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from random import Random

import msgspec
import uvloop

from loadtests.bench.processes import Server, free_ports, listening, wait_until
from loadtests.bench.stand import ask, stand
from loadtests.overload.tally import quantiles
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.quotas import judged, quiet
from loadtests.quotas.asking import Asked
from loadtests.quotas.counted import REFUSED, Call, History
from loadtests.quotas.gateways import Gateway, tenancy
from loadtests.quotas.history import Lapse
from loadtests.quotas.plans import MINUTE, Bound, plans
from loadtests.quotas.steady import Steady
from loadtests.quotas.store import Store, running_store

GATEWAYS = 4
FAR_MS = 20
"""That any answer of the store takes longer."""
BUSY = Bound("busy", "tenant", "requests", 120)
KNOWN = "known"
"""Who has a limit that is never reached, and of a kind of which nothing is taken in advance."""
FREE = "free"
"""Whom nothing binds: what these wait is what all would, were there no store."""
RATES = {BUSY.plan: 30.0, KNOWN: 40.0, FREE: 40.0}
CALM, FORGETFUL, OUTAGE, AFTER = 8.0, 8.0, 30.0, 10.0
SOON = 1.0
BACK = 5.0
"""Seconds after the store's return by when all is as before."""
EXTRA = 0.3
"""Of what the rate allows, that the gateways may let pass together beyond it while each goes on with its own part."""


@dataclass(slots=True)
class Story:
    """What happened to the store, and when; monotonic seconds."""

    store: Store
    fleet: Sequence[Gateway]
    lapses: list[Lapse] = field(default_factory=list)
    outages: list[tuple[float, float]] = field(default_factory=list)
    back: list[float] = field(default_factory=list)
    """Seconds from each return until all gateways ask it again."""

    async def live(self) -> None:
        await asyncio.sleep(CALM)
        with self.store.client() as client:
            client.script_flush()
            await asyncio.sleep(FORGETFUL / 2)
            begin = time.monotonic()
            client.flushall()
            self.lapses.append(Lapse(begin, time.monotonic(), wiped=True))
        await asyncio.sleep(FORGETFUL)
        await self._away(self.store.freeze, self.store.thaw, wiped=False)
        await self._away(self.store.kill, self.store.start, wiped=True)

    async def _away(self, leave: Callable[[], None], come: Callable[[], None], *, wiped: bool) -> None:
        begin = time.monotonic()
        leave()
        await asyncio.sleep(OUTAGE)
        end = time.monotonic()
        await asyncio.to_thread(come)
        self.outages.append((begin, end))
        self.lapses.append(Lapse(begin, end + BACK, wiped))
        self.back.append(await asyncio.to_thread(wait_until, self._all_ask, 2 * AFTER, "the store's return", 0.05))
        await asyncio.sleep(AFTER)

    def _all_ask(self) -> bool:
        pages = [ask(gateway.front.ports.ops, "GET", "/metrics")[1] for gateway in self.fleet]
        return all(re.search(rb"^snowshed_limit_store_up 1", page, re.MULTILINE) for page in pages)


def prove() -> Verdict:
    """Whatever becomes of the store: bounds hold, nobody gets a 500, nobody waits long, and soon all is as before."""
    with stand() as place, running_store() as store:
        (far,) = free_ports(1)
        url = f"redis://127.0.0.1:{far}"
        asking = {"name": KNOWN, "tenant": {"concurrent_requests": 1_000_000}}
        homes = tenancy(place, url, [*plans([BUSY]), asking, {"name": FREE}], 1)
        relay = ["loadtests.quotas.proxy", str(far), str(store.port), str(FAR_MS)]
        with Server("far store", relay, place.rest) as proxy:
            proxy.ready(lambda: listening(far))
            with homes.gateways(GATEWAYS) as fleet:
                steady = Steady([gateway.front.ports.public for gateway in fleet], homes.keys, Random(1))
                story = Story(store, fleet)
                uvloop.run(told(story, steady))
                quiet(place, fleet)
        calls = msgspec.convert(place.control("/_calls?since=0"), list[Call])
    return verdict(story, steady.asked, History(steady.asked, calls))


async def told(story: Story, steady: Steady) -> None:
    async with asyncio.TaskGroup() as group:
        asking = group.create_task(steady.ask(RATES))
        await story.live()
        steady.stop()
        await asking


def verdict(story: Story, asked: Sequence[Asked], history: History) -> Verdict:
    bounded, strict = (next(judged(history, BUSY, BUSY.limit(GATEWAYS, lapses))) for lapses in (story.lapses, ()))
    answers = Counter(one.status for one in asked)
    bars = [
        Bar("bursts used, one for each loss and each switch apart", bounded.bursts, 1.0),
        Bar("answers that are neither good nor a refusal for a limit", failures(answers), 0, exact=True),
    ]
    for (begin, end), back, how in zip(story.outages, story.back, ("frozen", "killed"), strict=True):
        bars += [
            Bar(f"added p99 in the first second, {how}, ms", added(asked, begin, begin + SOON), 250.0),
            Bar(f"added p99 after that, {how}, ms", added(asked, begin + SOON, end), 5.0),
            Bar(f"let pass without it, x what the rate allows, {how}", let_pass(history, begin + SOON, end), 1 + EXTRA),
            Bar(f"seconds until all gateways ask the store again, {how}", back, BACK),
        ]
    figures = {
        "bursts of the worst window": strict.bursts,
        "lapses": len(story.lapses),
        "added p99 while the store answers after 20 ms": added(asked, 0.0, story.outages[0][0]),
        "answers": {str(status): count for status, count in sorted(answers.items())},
    }
    return Verdict(bars, figures)


def failures(answers: Counter[int]) -> int:
    return sum(count for status, count in answers.items() if status not in {http.client.OK, REFUSED})


def let_pass(history: History, begin: float, end: float) -> float:
    """Times what drains meanwhile: all is used up when it begins, so each gateway has to wait for its part of that."""
    passed = sum(begin <= one.sent and one.known <= end for _, one in history.passed(BUSY))
    return passed / (BUSY.per_minute / MINUTE * (end - begin))


def added(asked: Sequence[Asked], begin: float, end: float) -> float:
    """Milliseconds that callers with a limit waited longer than those without, p99, of requests sent in that time."""
    with_limit, without = (
        quantiles(one.ended - one.sent for one in asked if one.tenant == tenant and begin <= one.sent < end).p99
        for tenant in (KNOWN, FREE)
    )
    return with_limit - without
