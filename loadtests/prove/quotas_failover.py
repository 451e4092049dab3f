"""The store's master is killed, and Sentinels make its replica the master, while callers go on asking."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from loadtests.bench.stand import stand
from loadtests.prove.evidence import Verdict
from loadtests.prove.quotas_away import AFTER, Away, answers, asked_again, bars, bursts, lived
from loadtests.quotas.gateways import Gateway
from loadtests.quotas.replicated import Replicated, running_replicated

CALM = 8.0
DOWN_AFTER_MS = 20_000
"""Of silence until Sentinels look for another master: long enough to see what gateways do without one."""
HOW = "failing over"


@dataclass(slots=True)
class Story:
    """What happened to the stores."""

    stores: Replicated
    aways: list[Away] = field(default_factory=list)

    async def live(self, fleet: Sequence[Gateway]) -> None:
        await asyncio.sleep(CALM)
        begin = time.monotonic()
        self.stores.master.kill()
        await asyncio.to_thread(self.stores.wait_for_successor)
        end = time.monotonic()
        self.aways.append(Away(HOW, begin, end, await asked_again(fleet), wiped=True))  # of what had not arrived
        await asyncio.sleep(AFTER)


def scenario() -> Verdict:
    """A master with a replica, and three Sentinels."""
    with stand() as place, running_replicated(DOWN_AFTER_MS) as stores:
        story = Story(stores)
        history = lived(place, stores.url, story.live)
    lapses = [away.lapse for away in story.aways]
    figures = {
        "bursts of the worst window": bursts(history, ()),
        "seconds without a master": [away.end - away.begin for away in story.aways],
        "answers": {str(status): count for status, count in sorted(answers(history).items())},
    }
    return Verdict(list(bars("a master and its replica", history, story.aways, lapses)), figures)
