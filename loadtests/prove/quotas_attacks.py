"""Callers try to get more than their limit from two gateways; by how much, the model server's count tells."""

from __future__ import annotations

import asyncio
import http.client
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from random import Random
from typing import Any

import msgspec
import uvloop

from loadtests.bench import bodies
from loadtests.bench.processes import free_ports
from loadtests.bench.stand import Stand, stand
from loadtests.prove.admin import admitting
from loadtests.prove.evidence import Bar, Verdict
from loadtests.prove.many_keys import minted
from loadtests.prove.quotas import quiet
from loadtests.quotas.asking import Asked, arrive, bearer
from loadtests.quotas.attacks import ATTACKS, Attack
from loadtests.quotas.counted import REFUSED, Call, numbered
from loadtests.quotas.gateways import Gateway, Tenancy, tenancy
from loadtests.quotas.store import running_store

GATEWAYS = 2
PAUSE = 0.02
"""Seconds, at most, after which who was refused goes on."""
LEARNED = 1.0
"""Seconds until gateways have learned from what has ended, and refusals are forgotten."""


@dataclass(slots=True, frozen=True)
class Outcome:
    """Of an attack; amounts in what its limit counts.

    `taken`: by the model server's count; `drained`: what the limit let pass again meanwhile; `unseen`: tokens that were
    made for clients who had left; `owed`: what the next request is told to wait for.
    """

    attack: Attack
    statuses: Counter[int]
    taken: int
    drained: float
    unseen: int
    owed: float

    @property
    def overshoot(self) -> float:
        return max(0.0, self.taken - self.attack.limit - self.drained)

    @property
    def excused(self) -> float:
        """Of that: what nobody could know as the last ones were let in."""
        return self.unseen + self.statuses[http.client.OK] * self.attack.slack

    def bars(self) -> Iterator[Bar]:
        name = self.attack.name
        yield Bar(f"overshoot, {name}", self.overshoot, self.excused)
        never_told = self.excused if self.attack.leave_after else 0  # of whose prompts and answers there is no usage
        yield Bar(f"overshoot that nobody waits for, {name}", max(0.0, self.overshoot - self.owed), never_told)
        others = self.statuses.total() - self.statuses[http.client.OK] - self.statuses[REFUSED]
        yield Bar(f"answers that are neither good nor a refusal for the limit, {name}", others, 0, exact=True)
        yield Bar(f"attacks that nobody was refused in, {name}", int(not self.statuses[REFUSED]), 0, exact=True)

    def figures(self) -> dict[str, Any]:
        return {
            "limit": self.attack.limit,
            "taken": self.taken,
            "overshoot": self.overshoot,
            "of it made for who had left, at most": self.unseen,
            "owed afterwards": self.owed,
            "answers": {str(status): number for status, number in sorted(self.statuses.items())},
        }


def prove() -> Verdict:
    """Whatever requests are made to look like: no more than the limit, but for what was longer than it used to be."""
    with stand() as place, running_store() as store:
        homes = tenancy(place, store.url, [{"name": attack.name, **attack.plan} for attack in ATTACKS], 1)
        outcomes = []
        for attack in ATTACKS:
            keys = keys_for(place, homes, attack)
            with homes.gateways(GATEWAYS) as fleet:  # new ones have not learned yet what to expect
                outcomes.append(outcome(place, fleet, attack, keys))
    bars = [bar for one in outcomes for bar in one.bars()]
    return Verdict(bars, {one.attack.name: one.figures() for one in outcomes})


def keys_for(place: Stand, homes: Tenancy, attack: Attack) -> Sequence[str]:
    """As many as it wants, of its own tenant."""
    if attack.keys == 1:
        return homes.keys[attack.name]
    (port,) = free_ports(1)
    return minted(replace(place, config=admitting(homes.config, port)), port, attack.name, attack.keys)


def outcome(place: Stand, fleet: Sequence[Gateway], attack: Attack, keys: Sequence[str]) -> Outcome:
    since, begin = place.control("/_stats")["started"], time.monotonic()
    ports = [gateway.front.ports.public for gateway in fleet]
    asked = uvloop.run(stormed(attack, ports, keys))
    quiet(place, fleet)
    time.sleep(LEARNED)
    owed = max(attack.rate * waits(port, attack, keys[0]) for port in ports)
    drained = attack.rate * (time.monotonic() - begin)
    calls = numbered(msgspec.convert(place.control(f"/_calls?since={since}"), list[Call]))
    made = [call for one in asked for call in calls[one.number]]
    statuses = Counter(http.client.OK if one.ending == "left" else one.status for one in asked)
    if attack.by_requests:
        return Outcome(attack, statuses, len(made), drained, 0, owed)
    unseen = sum(max(0, call.tokens - attack.leave_after) for call in made) if attack.leave_after else 0
    return Outcome(attack, statuses, sum(call.tokens + call.prompt_tokens for call in made), drained, unseen, owed)


def waits(port: int, attack: Attack, key: str) -> float:
    """Seconds that one more small request has to; 0 if it is let in."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    try:
        headers = {"content-type": "application/json", "authorization": f"Bearer {key}"}
        connection.request("POST", bodies.PATH, attack.smallest(), headers)
        return int(connection.getresponse().headers.get("retry-after-ms", 0)) / 1000
    finally:
        connection.close()


async def stormed(attack: Attack, ports: Sequence[int], keys: Sequence[str]) -> list[Asked]:
    """All requests of an attack, to the gateways in turn."""
    numbers, asked, random = iter(range(attack.requests)), list[Asked](), Random(1)

    async def ask(number: int) -> None:
        gateway = number % len(ports)
        one = Asked(number, attack.name, number % len(keys), gateway)
        caller = await arrive(ports[gateway])
        extra = bearer(keys[one.key]) + attack.extra
        await caller.put(one, bodies.http(ports[gateway], attack.body(number), extra), attack.leave_after)
        caller.transport.close()
        asked.append(one)
        if one.status == REFUSED:
            await asyncio.sleep(random.uniform(0, PAUSE))

    async def ask_on() -> None:
        for number in numbers:
            await ask(number)

    for _ in range(attack.shorter):
        await ask(next(numbers))
    await asyncio.sleep(LEARNED)
    async with asyncio.TaskGroup() as group:
        for _ in range(attack.at_once):
            group.create_task(ask_on())
    return asked
