"""Everything at once: whoever leaves, fails, waits or is refused, in the end no place is lost and nothing is held."""

from __future__ import annotations

import threading
import time
from collections import Counter
from functools import partial
from pathlib import Path
from random import Random
from typing import Any

from tests.support.asking import request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.queueing import Queueing, named, patient, queueing, served
from tests.support.raw import RawClient

SECONDS = 4.0
CALLERS = 24
LIMITS = {"kv_tokens": 2000, "prompt_tokens": 1000}
TENANTS = {"urgent": {"priority": 1}, "usual": {"weight": 2}, "idle": {"priority": -1}}
DEEDS = [
    "tokens=3",
    "service_ms=30,ttft_ms=30",
    "fault=status,status=500",
    "fault=status,status=503",
    "fault=reset_after",
]
TOLD = {
    (200, ""), (503, "overloaded"), (503, "no_replica"), (503, "upstream_overloaded"), (502, "upstream_error"),
    (502, "upstream_unreachable"), (502, "upstream_interrupted"), (504, "upstream_timeout"),
    (200, "upstream_interrupted"), (400, "prompt_quarantined"),
}  # fmt: skip
"""All that callers may hear."""


def wanted(draw: Random) -> dict[str, Any]:
    directive = draw.choices(DEEDS, weights=[8, 8, 1, 1, 1])[0]
    size = draw.choice([10, 10, 10, 3000])
    return named("any", directive, stream=draw.random() < 0.5, max_tokens=draw.choice([8, 200]), user="x" * size)


class Crowd:
    """Callers in threads, each with a mind of its own."""

    def __init__(self, place: Queueing) -> None:
        self.place = place
        self.told: Counter[tuple[int, str]] = Counter()
        self.left = 0
        self.over = threading.Event()

    def __repr__(self) -> str:
        return f"<Crowd {self.told}, {self.left} have left>"

    def call(self, seed: int) -> None:
        draw = Random(seed)
        while not self.over.is_set():
            who = draw.choice(list(TENANTS))
            if draw.random() < 0.2:
                self._leave(draw, who)
            else:
                milliseconds = draw.choice(["100", "1000", "60000"])
                heard = self.place.ask(wanted(draw), who, x_request_timeout_ms=milliseconds)
                self.told[heard.told] += 1

    def _leave(self, draw: Random, who: str) -> None:
        with RawClient(self.place.gateway.url) as client:
            client.socket.sendall(request_bytes(wanted(draw), self.place.headers(who)))
            self.over.wait(draw.uniform(0, 0.05))
        self.left += 1


def change(place: Queueing, draw: Random, over: threading.Event) -> None:
    """Reload other replicas and limits, again and again, and take replicas out and in by hand."""
    pool, upstreams = place.admission().pool, place.gateway.objects.upstreams
    end = time.monotonic() + SECONDS
    while time.monotonic() < end:
        urls = draw.choice([place.fleet.urls, place.fleet.urls[:1], place.fleet.urls[1:]])
        place.stand.reload({**place.tree, "models": [served(urls, draw.randint(1, 4), limits=LIMITS)]})
        out = draw.choice(pool.replicas)
        place.gateway.run(partial(pool.eject, out, None))
        over.wait(0.05)
        place.gateway.run(partial(pool.restore, out))
        over.wait(0.2)
    place.stand.reload(place.tree)
    place.gateway.wait_until(lambda: not upstreams._leaving)


def test_in_the_end_nothing_is_held(pair: SpawnedFleet, tmp_path: Path) -> None:
    queue = {"start_within": patient("300ms"), "queue": 20, "tenant_share": 0.5}
    model = served(pair.urls, limits={"requests": 2, **LIMITS})
    with queueing(pair, tmp_path, model, tenants=TENANTS, admission=queue) as place:
        crowd = Crowd(place)
        callers = [place.threads.submit(crowd.call, number) for number in range(CALLERS)]
        change(place, Random(1), crowd.over)
        crowd.over.set()
        for caller in callers:
            caller.result()
        assert set(crowd.told) <= TOLD, crowd
        assert min(crowd.told[200, ""], crowd.told[503, "overloaded"], crowd.left) > 10, crowd
        place.gateway.wait_idle()
        for replica in place.replicas:
            assert (replica.tokens, replica.prompts, replica.active) == (0, 0, {})
        place.gateway.run(place.gateway.forgive)
        heard = [place.ask(named("after"), "usual") for _ in range(10)]
        assert {one.told for one in heard} == {(200, "")}
