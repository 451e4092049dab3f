"""A slot ends with its request, whatever ends that: at once at its own gateway, and soon at every other one."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from itertools import count
from random import Random
from typing import Literal

import redis
import uvloop

from loadtests.bench.stand import stand
from loadtests.prove.disconnects import hold
from loadtests.prove.evidence import Bar, Verdict
from loadtests.quotas.asking import FATES, Asked, Fate, arrive, put
from loadtests.quotas.counted import REFUSED
from loadtests.quotas.gateways import Gateway, tenancy
from loadtests.quotas.store import running_store

Who = Literal["here", "elsewhere, who comes then", "elsewhere, who was refused until then"]
BARS_MS: Mapping[Who, float] = {
    "here": 10.0,
    "elsewhere, who comes then": 50.0,
    "elsewhere, who was refused until then": 50.0,
}
"""Milliseconds from a request's end, as its client sees it, until somebody else is let in who asks all the time."""
ROUNDS = 30
"""Of each kind."""
STEP = 0.001
"""Seconds after which who was refused asks again."""
TENANT = "single"


class Rounds:
    """Of a tenant that has a single slot: one request holds it, and another one wants it."""

    def __init__(self, fleet: Sequence[Gateway], key: str, store: redis.Redis) -> None:
        self._ports = [gateway.front.ports.public for gateway in fleet]
        self._key = key
        self._store = store
        self._numbers = count()
        self._random = Random(1)

    def __repr__(self) -> str:
        return f"<Rounds over gateways on {self._ports}>"

    async def one(self, fate: Fate, who: Who) -> float:
        """Milliseconds that the slot stayed taken."""
        here, elsewhere = self._random.sample(range(len(self._ports)), 2)
        other = here if who == "here" else elsewhere
        holder, rival = [await arrive(self._ports[gateway]) for gateway in (here, other)]
        await hold(lambda: not self._taken(), "a free slot")
        holding = Asked(next(self._numbers), TENANT, 0, here, fate)
        held = asyncio.create_task(put(holding, holder, self._ports[here], self._key, self._random))
        if who == "elsewhere, who was refused until then":
            await hold(lambda: held.done() or self._taken(), "a slot that is taken")
        else:
            await held
        if who == "elsewhere, who comes then":
            await hold(lambda: not self._taken(), "a free slot")
        while True:
            wanting = Asked(next(self._numbers), TENANT, 0, other)
            await put(wanting, rival, self._ports[other], self._key, self._random)
            if wanting.status == http.client.OK:
                break
            if wanting.status != REFUSED:
                raise RuntimeError(f"{wanting}: {rival.body.decode()}")
            await asyncio.sleep(STEP)
        await held
        for caller in (holder, rival):
            caller.transport.close()
        return max(0.0, wanting.sent - (holder.left_at or holding.ended)) * 1000

    def _taken(self) -> bool:
        """By the store."""
        now = time.time() * 1e6
        names = self._store.scan_iter(f"snowshed:{{{TENANT}}}:*", _type="zset")
        return any(self._store.zcount(name, now, "+inf") for name in names)


def prove() -> Verdict:
    """A slot whose request has ended is free where it was at once, and within 50 ms at every other gateway."""
    spans: dict[Who, dict[Fate, list[float]]] = defaultdict(lambda: defaultdict(list))
    with stand() as place, running_store() as store, store.client() as client:
        plan = {"name": TENANT, "tenant": {"concurrent_requests": 1}}
        homes = tenancy(place, store.url, [plan], 1)
        with homes.gateways(2) as fleet:
            rounds = Rounds(fleet, homes.keys[TENANT][0], client)

            async def play() -> None:
                for who in BARS_MS:
                    for fate in FATES:
                        spans[who][fate] = [await rounds.one(fate, who) for _ in range(ROUNDS)]

            uvloop.run(play())
    bars = [
        Bar(f"ms until free {who}, at most, of {len(FATES) * ROUNDS}", max(map(max, found.values())), BARS_MS[who])
        for who, found in spans.items()
    ]
    return Verdict(bars, {who: {fate: sorted(each) for fate, each in found.items()} for who, found in spans.items()})
