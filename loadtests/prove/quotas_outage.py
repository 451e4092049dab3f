"""The store of limits is far away, forgets, is frozen, killed and restarted empty, while callers go on asking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from loadtests.bench.processes import Server, free_ports, listening
from loadtests.bench.stand import stand
from loadtests.prove import quotas_failover
from loadtests.prove.evidence import Verdict
from loadtests.prove.quotas_away import AFTER, Away, added, answers, asked_again, bars, bursts, lived
from loadtests.quotas.gateways import Gateway
from loadtests.quotas.history import Lapse
from loadtests.quotas.store import Store, running_store

FAR_MS = 20
"""That any answer of the store takes longer."""
CALM, FORGETFUL, OUTAGE = 8.0, 8.0, 30.0


@dataclass(slots=True)
class Story:
    """What happened to the store, and when; monotonic seconds."""

    store: Store
    lapses: list[Lapse] = field(default_factory=list)
    aways: list[Away] = field(default_factory=list)

    async def live(self, fleet: Sequence[Gateway]) -> None:
        await asyncio.sleep(CALM)
        with self.store.client() as client:
            client.script_flush()
            await asyncio.sleep(FORGETFUL / 2)
            begin = time.monotonic()
            client.flushall()
            self.lapses.append(Lapse(begin, time.monotonic(), wiped=True))
        await asyncio.sleep(FORGETFUL)
        await self._away(fleet, "frozen", self.store.freeze, self.store.thaw)
        await self._away(fleet, "killed", self.store.kill, self.store.start)

    async def _away(
        self, fleet: Sequence[Gateway], how: str, leave: Callable[[], None], come: Callable[[], None]
    ) -> None:
        begin = time.monotonic()
        leave()
        await asyncio.sleep(OUTAGE)
        end = time.monotonic()
        await asyncio.to_thread(come)
        self.aways.append(Away(how, begin, end, await asked_again(fleet), wiped=how == "killed"))
        await asyncio.sleep(AFTER)


def prove() -> Verdict:
    """Whatever becomes of the store: bounds hold, nobody gets a 500, nobody waits long, and soon all is as before."""
    alone, replicated = scenario(), quotas_failover.scenario()
    return Verdict([*alone.bars, *replicated.bars], {**alone.figures, "replicated": replicated.figures})


def scenario() -> Verdict:
    """One store, by itself."""
    with stand() as place, running_store() as store:
        (far,) = free_ports(1)
        story = Story(store)
        relay = ["loadtests.quotas.proxy", str(far), str(store.port), str(FAR_MS)]
        with Server("far store", relay, place.rest) as proxy:
            proxy.ready(lambda: listening(far))
            history = lived(place, f"redis://127.0.0.1:{far}", story.live)
    lapses = [*story.lapses, *(away.lapse for away in story.aways)]
    figures = {
        "bursts of the worst window": bursts(history, ()),
        "lapses": len(lapses),
        "added p99 while the store answers after 20 ms": added(history, 0.0, story.aways[0].begin),
        "answers": {str(status): count for status, count in sorted(answers(history).items())},
    }
    return Verdict(list(bars("one store", history, story.aways, lapses)), figures)
