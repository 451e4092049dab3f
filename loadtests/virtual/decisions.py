"""`python -m loadtests.virtual.decisions`: CPU per choice of a replica and per routed request, as JSON."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from itertools import cycle
from random import Random
from statistics import median
from time import process_time

from engines.api import Call, EngineError, Health, Reply
from router.admission import Admission
from router.api import Affinity, Caller, Rank, Replica
from router.fair_queue import Bounds
from router.policies import POLICIES
from router.pool import Pool
from router.split import Split
from router.ticket import Terms

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


def requests(random: Random) -> list[Affinity]:
    """Four turns of each conversation, mixed; all of them begin alike."""
    alike = random.randbytes(PROMPT // 2)
    asked = []
    for number in range(CONVERSATIONS):
        own = random.randbytes(PROMPT // 2)
        asked += [Affinity(b"session %d" % number, alike + own) for _ in range(4)]
    random.shuffle(asked)
    return asked


def pool(policy: str, count: int, random: Random) -> Pool:
    """Replicas with work under way, about as much on each; one of them in slow start."""
    replicas = [Replica(f"r{number}", Mute()) for number in range(count)]
    made = Pool("virtual", replicas, POLICIES[policy](random), lambda: 0.0, random)
    for replica in replicas:
        replica.tokens = random.randint(10_000, 20_000)
    replicas[0].weight = 0.5
    replicas[0].room = replicas[0].limits.by_rank(0.5)
    return made


class Noted:
    """What is noted of one request."""

    tenant = ""
    weight = 1
    rank: Rank = 1
    body_bytes = text_bytes = 2000
    answers = 1
    prompt_tokens = completion_tokens = output_cap = 0
    usage_exact = False
    queued = first_at = last_at = 0.0
    failed: Sequence[tuple[str, type[EngineError]]] = ()

    def __init__(self, tokens: int) -> None:
        self.prompt = tokens // 2
        self.tokens = tokens
        self.work = tokens / 10_000
        self.attempts = 0
        self.replica = ""
        self.whole = False
        self.paused = False


def choosing(policy: str, count: int) -> float:
    """Microseconds of CPU per choice of a replica."""
    random = Random(1)
    return per_request(pool(policy, count, random).pick, requests(random))


def routing(policy: str, count: int) -> float:
    """Microseconds of CPU for all of a request: its version out of two, its replica, and what came of it."""
    random = Random(1)
    chosen_by = pool(policy, count, random)
    admission = Admission(chosen_by, Terms(Bounds(), (1.0, 2.0, 10.0)), lambda: 0.0, random, set())
    split = Split("virtual", {"1": 95, "2": 5}, "key")
    callers = cycle([Caller(f"key{number}", "tenant") for number in range(1000)])

    def route(affinity: Affinity) -> None:
        split.choose(next(callers), random)
        notes = Noted(random.randint(50, 2000))
        replica = admission.enter(notes, affinity)
        assert replica is not None
        chosen_by.retries.admitted(notes.tokens)
        chosen_by.sent(replica, notes)
        chosen_by.answered(replica, notes)
        chosen_by.left(replica, notes, None)

    return per_request(route, requests(random))


def per_request(decide: Callable[[Affinity], object], asked: list[Affinity]) -> float:
    """Microseconds of CPU: the median of all repetitions."""
    costs = []
    for _ in range(REPETITIONS):
        began = process_time()
        for affinity in asked:
            decide(affinity)
        costs.append((process_time() - began) / len(asked) * 1e6)
    return round(median(costs), 2)


def main() -> None:
    told = {
        policy: {count: {"choice": choosing(policy, count), "request": routing(policy, count)} for count in REPLICAS}
        for policy in POLICIES
    }
    print(json.dumps(told))


if __name__ == "__main__":
    main()
