"""The store of limits is far away, forgets, is too far away, without memory, frozen, killed and restarted empty.

Callers go on asking all the while.
"""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field
from functools import partial

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
TOO_FAR_MS = 100
"""Twice what gateways wait for it: it does all that it is asked, and nobody hears of that."""
CALM, FORGETFUL, OUTAGE = 8.0, 8.0, 30.0


@dataclass(slots=True)
class Story:
    """What happened to the store, and when; monotonic seconds."""

    store: Store
    proxy: Server
    lapses: list[Lapse] = field(default_factory=list)
    aways: list[Away] = field(default_factory=list)

    async def leave(self, fleet: Sequence[Gateway]) -> None:
        """It forgets, and then answers nothing at all."""
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

    async def limp(self, fleet: Sequence[Gateway]) -> None:
        """It does or answers a part of what it is asked."""
        await asyncio.sleep(CALM)
        await self._away(fleet, "too far away", self._move, self._move)
        await self._away(fleet, "without memory", self._fill, self._empty)

    def _move(self) -> None:
        """Too far away, or back."""
        os.kill(self.proxy.pid, signal.SIGUSR1)

    def _fill(self) -> None:
        """It refuses all that takes memory, and still answers what takes none."""
        with self.store.client() as client:
            client.config_set("maxmemory-policy", "noeviction")
            client.config_set("maxmemory", "1")

    def _empty(self) -> None:
        with self.store.client() as client:
            client.config_set("maxmemory", "0")

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
    alone, limping = scenario("one store", Story.leave), scenario("one store that limps", Story.limp)
    replicated = quotas_failover.scenario()
    figures = {**alone.figures, "limping": limping.figures, "replicated": replicated.figures}
    return Verdict([*alone.bars, *limping.bars, *replicated.bars], figures)


def scenario(what: str, happens: Callable[[Story, Sequence[Gateway]], Awaitable[None]]) -> Verdict:
    """One store, by itself."""
    with stand() as place, running_store() as store:
        (far,) = free_ports(1)
        relay = ["loadtests.quotas.proxy", str(far), str(store.port), str(FAR_MS), str(TOO_FAR_MS)]
        with Server("far store", relay, place.rest) as proxy:
            story = Story(store, proxy)
            proxy.ready(lambda: listening(far))
            history = lived(place, f"redis://127.0.0.1:{far}", partial(happens, story))
    lapses = [*story.lapses, *(away.lapse for away in story.aways)]
    figures = {
        "bursts of the worst window": bursts(history, ()),
        "lapses": len(lapses),
        "added p99 while the store answers after 20 ms": added(history, 0.0, story.aways[0].begin),
        "answers": {str(status): count for status, count in sorted(answers(history).items())},
    }
    return Verdict(list(bars(what, history, story.aways, lapses)), figures)
