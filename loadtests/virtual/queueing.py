"""`python -m loadtests.virtual.queueing`: what admission costs per request, at once and through the queue, as JSON."""

from __future__ import annotations

import asyncio
import json
import tracemalloc
from random import Random
from statistics import median
from time import process_time

from engines.api import Capacity
from loadtests.virtual.decisions import Mute, Noted
from router.admission import Admission
from router.api import NO_AFFINITY, Replica
from router.fair_queue import Bounds
from router.policies import POLICIES
from router.pool import Pool
from router.ticket import Terms

QUEUED = 10_000
TENANTS = (1, 100, 10_000)
REPETITIONS = 5
PLACES = 8
TERMS = Terms(Bounds(2 * QUEUED, 1 << 40, 1.0), (1e6, 1e6, 1e6))


def admission(places: int) -> Admission:
    """In front of one replica, at a time that stands still."""
    random = Random(1)
    pool = Pool("virtual", [Replica("r0", Mute())], POLICIES["least_loaded"](random), lambda: 0.0, random)
    pool.capacity = Capacity(requests=places)
    made = Admission(pool, TERMS, lambda: 0.0, random, set())
    made.replace(pool.replicas, TERMS)
    return made


def asking(number: int, tenants: int) -> Noted:
    """Notes of one request out of so many tenants'."""
    notes = Noted(500 + number % 1000)
    notes.tenant = f"tenant {number % tenants}"
    return notes


def at_once() -> float:
    """Microseconds of CPU for a place, its first content and its end, where there is room."""
    made, notes, costs = admission(PLACES), Noted(1000), []
    for _ in range(REPETITIONS):
        began = process_time()
        for _ in range(QUEUED):
            replica = made.enter(notes, NO_AFFINITY)
            assert replica is not None
            made.pool.answered(replica, notes)
            made.pool.left(replica, notes, None)
        costs.append((process_time() - began) / QUEUED * 1e6)
        made.refresh()
    return round(median(costs), 2)


async def queued(tenants: int) -> dict[str, float]:
    """Microseconds per request on its way into a queue of 10,000, and out of it; and that queue's megabytes."""
    made = admission(PLACES)
    holders = [asking(number, tenants) for number in range(PLACES)]
    for notes in holders:
        assert made.enter(notes, NO_AFFINITY)
    replica, loop = made.pool.replicas[0], asyncio.get_running_loop()
    waiting = [asking(number, tenants) for number in range(QUEUED)]
    tracemalloc.start()
    turns = [loop.create_task(made.turn(notes, NO_AFFINITY, 1e9)) for notes in waiting]
    await asyncio.sleep(0)
    size = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    began = process_time()
    for turn in turns[QUEUED // 2 :]:
        turn.cancel()
    await asyncio.sleep(0)
    again = [loop.create_task(made.turn(notes, NO_AFFINITY, 1e9)) for notes in waiting[QUEUED // 2 :]]
    await asyncio.sleep(0)
    came = (process_time() - began) / (QUEUED // 2) * 1e6
    began = process_time()
    for _ in range(QUEUED + PLACES):
        made.pool.left(replica, next(iter(replica.active)), None)
    went = (process_time() - began) / QUEUED * 1e6
    await asyncio.gather(*turns[: QUEUED // 2], *again)
    return {"in_us": round(came, 2), "out_us": round(went, 2), "mb": round(size, 1)}


def main() -> None:
    told = {str(tenants): asyncio.run(queued(tenants)) for tenants in TENANTS}
    print(json.dumps({"at_once": at_once(), "queued": told}))


if __name__ == "__main__":
    main()
