"""`python -m loadtests.virtual.decisions`: CPU per choice of a replica, per policy and number of replicas, as JSON."""

from __future__ import annotations

import json
from random import Random
from statistics import median
from time import process_time

from engines.api import Call, Health, Reply
from router.api import Replica, Work
from router.policies import POLICIES
from router.pool import Pool

REPLICAS = (1, 3, 16)
REPETITIONS = 9
CONVERSATIONS = 500
PROMPT = 4096
"""Bytes; half of them are the conversation's own."""


class Mute:
    """An engine that is never called."""

    async def start(self) -> None: ...

    async def call(self, call: Call) -> Reply:
        raise NotImplementedError

    async def probe(self) -> Health:
        raise NotImplementedError

    async def aclose(self) -> None: ...


def works(random: Random) -> list[Work]:
    """Four turns of each conversation, mixed; all of them begin alike."""
    alike = random.randbytes(PROMPT // 2)
    asked = []
    for number in range(CONVERSATIONS):
        own = random.randbytes(PROMPT // 2)
        asked += [Work(random.randint(50, 2000), b"session %d" % number, alike + own) for _ in range(4)]
    random.shuffle(asked)
    return asked


def pool(policy: str, count: int, random: Random) -> Pool:
    """Replicas with work under way, about as much on each; one of them in slow start."""
    replicas = [Replica(f"r{number}", Mute()) for number in range(count)]
    made = Pool("virtual", replicas, POLICIES[policy](random), lambda: 0.0, random)
    for replica in replicas:
        replica.tokens = random.randint(10_000, 20_000)
    replicas[0].weight = 0.5
    return made


def cost(policy: str, count: int) -> float:
    """Microseconds of CPU per choice: the median of all repetitions."""
    random = Random(1)
    chosen_by, asked = pool(policy, count, random), works(random)
    pick = chosen_by.pick
    costs = []
    for _ in range(REPETITIONS):
        began = process_time()
        for work in asked:
            pick(work)
        costs.append((process_time() - began) / len(asked) * 1e6)
    return median(costs)


def main() -> None:
    print(json.dumps({policy: {count: round(cost(policy, count), 2) for count in REPLICAS} for policy in POLICIES}))


if __name__ == "__main__":
    main()
