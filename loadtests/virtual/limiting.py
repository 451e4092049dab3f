"""`python -m loadtests.virtual.limiting`: CPU of a request's limits where one process keeps them, as JSON."""

from __future__ import annotations

import json
from itertools import cycle
from statistics import median
from time import monotonic, process_time

from security.limits.api import Bucket, Cost, Quota, Slots, key
from security.limits.local import LocalLimiter

CALLERS, REQUESTS, REPETITIONS = 1000, 20_000, 9
PLENTY = 10**9


def quota(tenant: str) -> Quota:
    """Of a key, its tenant and a model: requests, tokens in and out, and requests under way."""
    buckets = (
        Bucket(key(tenant, "key", "requests_per_minute"), "requests", PLENTY, 60),
        Bucket(key(tenant, "tenant", "tokens_per_minute"), "tokens", PLENTY, 60),
        Bucket(key(tenant, "tenant", "tokens_per_day"), "tokens", PLENTY, 86_400),
        Bucket(key(tenant, "model", "chat", "output_tokens_per_minute"), "output_tokens", PLENTY, 60),
    )
    return Quota(tenant, buckets, (Slots(key(tenant, "tenant", "concurrent_requests"), PLENTY),))


def per_request() -> float:
    """Microseconds to reserve and to settle: the median of all repetitions."""
    limiter, expected, actual, costs = LocalLimiter(monotonic), Cost(1, 500, 200), Cost(1, 480, 150), []
    quotas = [quota(f"tenant {number}") for number in range(CALLERS)]
    for _ in range(REPETITIONS):
        asked = cycle(quotas)
        began = process_time()
        for _ in range(REQUESTS):
            with limiter.take(next(asked), expected) as reservation:
                reservation.settle(actual)
        costs.append((process_time() - began) / REQUESTS * 1e6)
    return round(median(costs), 2)


if __name__ == "__main__":
    print(json.dumps({"local_us": per_request()}))
