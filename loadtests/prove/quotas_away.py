"""What callers see of a store of limits that is away for a while, and how strictly that is judged."""

from __future__ import annotations

import asyncio
import http.client
import re
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass
from random import Random

import msgspec
import uvloop

from loadtests.bench.processes import wait_until
from loadtests.bench.stand import Stand, ask
from loadtests.overload.tally import quantiles
from loadtests.prove.evidence import Bar
from loadtests.prove.quotas import judged, quiet
from loadtests.quotas.counted import REFUSED, Call, History
from loadtests.quotas.gateways import Gateway, tenancy
from loadtests.quotas.history import Lapse
from loadtests.quotas.plans import MINUTE, Bound, plans
from loadtests.quotas.steady import Steady

GATEWAYS = 4
BUSY = Bound("busy", "tenant", "requests", 120)
KNOWN = "known"
"""Who has a limit that is never reached, and of a kind of which nothing is taken in advance."""
FREE = "free"
"""Whom nothing binds: what these wait is what all would, were there no store."""
RATES = {BUSY.plan: 30.0, KNOWN: 40.0, FREE: 40.0}
AFTER = 10.0
"""Seconds for which callers go on once all is as before."""
SOON = 1.0
BACK = 5.0
"""Seconds after the store's return by when all is as before."""
EXTRA = 0.3
"""Of what the rate allows, that the gateways may let pass together beyond it while each goes on with its own part."""


@dataclass(slots=True, frozen=True)
class Away:
    """A time without the store, in monotonic seconds; `back`: seconds after that until all gateways asked it again."""

    how: str
    begin: float
    end: float
    back: float
    wiped: bool

    @property
    def lapse(self) -> Lapse:
        return Lapse(self.begin, self.end + BACK, self.wiped)


def lived(place: Stand, url: str, live: Callable[[Sequence[Gateway]], Awaitable[None]]) -> History:
    """What three tenants asked of all gateways until `live` was over, and what came of it."""
    asking = {"name": KNOWN, "tenant": {"concurrent_requests": 1_000_000}}
    homes = tenancy(place, url, [*plans([BUSY]), asking, {"name": FREE}], 1)
    with homes.gateways(GATEWAYS) as fleet:
        steady = Steady([gateway.front.ports.public for gateway in fleet], homes.keys, Random(1))

        async def told() -> None:
            async with asyncio.TaskGroup() as group:
                asking = group.create_task(steady.ask(RATES))
                await live(fleet)
                steady.stop()
                await asking

        uvloop.run(told())
        quiet(place, fleet)
    return History(steady.asked, msgspec.convert(place.control("/_calls?since=0"), list[Call]))


async def asked_again(fleet: Sequence[Gateway]) -> float:
    """Seconds until all gateways ask the store again."""

    def all_ask() -> bool:
        pages = [ask(gateway.front.ports.ops, "GET", "/metrics")[1] for gateway in fleet]
        return all(re.search(rb"^snowshed_limit_store_up 1", page, re.MULTILINE) for page in pages)

    return await asyncio.to_thread(wait_until, all_ask, 2 * AFTER, "the store's return", 0.05)


def bars(what: str, history: History, aways: Sequence[Away], lapses: Sequence[Lapse]) -> Iterator[Bar]:
    """`what` kind of store it was; `lapses`: all of them, those of `aways` included."""
    yield Bar(f"bursts used, one for each loss and each switch apart, {what}", bursts(history, lapses), 1.0)
    yield Bar(f"answers that are neither good nor a refusal for a limit, {what}", failures(history), 0, exact=True)
    for away in aways:
        begin, end, how = away.begin, away.end, away.how
        yield Bar(f"added p99 in the first second, {how}, ms", added(history, begin, begin + SOON), 250.0)
        yield Bar(f"added p99 after that, {how}, ms", added(history, begin + SOON, end), 5.0)
        yield Bar(
            f"let pass without it, x what the rate allows, {how}", let_pass(history, begin + SOON, end), 1 + EXTRA
        )
        yield Bar(f"seconds until all gateways ask the store again, {how}", away.back, BACK)


def bursts(history: History, lapses: Sequence[Lapse]) -> float:
    """Of the worst window."""
    return next(judged(history, BUSY, BUSY.limit(GATEWAYS, lapses))).bursts


def answers(history: History) -> Counter[int]:
    """By status."""
    return Counter(one.status for one in history.asked)


def failures(history: History) -> int:
    return sum(count for status, count in answers(history).items() if status not in {http.client.OK, REFUSED})


def let_pass(history: History, begin: float, end: float) -> float:
    """Times what drains meanwhile: all is used up when it begins, so each gateway has to wait for its part of that."""
    passed = sum(begin <= one.sent and one.known <= end for _, one in history.passed(BUSY))
    return passed / (BUSY.per_minute / MINUTE * (end - begin))


def added(history: History, begin: float, end: float) -> float:
    """Milliseconds that callers with a limit waited longer than those without, p99, of requests sent in that time."""

    def p99(tenant: str) -> float:
        mine = (one for one in history.asked if one.tenant == tenant and begin <= one.sent < end)
        return quantiles(one.ended - one.sent for one in mine).p99

    return p99(KNOWN) - p99(FREE)
