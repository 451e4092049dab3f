"""P04: cancellations at random, through the whole gateway, cost nothing but themselves."""

from __future__ import annotations

import random
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.support.asking import ask, body, request_bytes, text
from tests.support.fleet import spawn_fleet
from tests.support.gateway import configuration, running_gateway
from tests.support.raw import RawClient
from tests.support.stand import Stand, standing
from tests.support.written import whole_lines

WORKERS, SECONDS = 8, 2.0


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    log: Path = tmp_path_factory.mktemp("records") / "records.jsonl"
    with standing(log, {}, "tokens=12,delay_ms=1,service_ms=2") as running:
        yield running


def leave_at_random(stand: Stand, seed: int) -> int:
    """Requests of one worker that each leave after 0 to 6 ms, as they are."""
    dice = random.Random(seed)
    end = time.monotonic() + SECONDS
    sent = 0
    while time.monotonic() < end:
        with RawClient(stand.gateway.url) as client:
            model = dice.choice(["mock", "lone"])
            client.socket.sendall(request_bytes(body(model=model, stream=dice.random() < 0.5)))
            time.sleep(dice.uniform(0, 0.006))
        sent += 1
    return sent


def test_p04_clients_that_leave_at_random_lose_no_connection(clean: Stand) -> None:
    with ThreadPoolExecutor(WORKERS) as crowd:
        sent = sum(crowd.map(lambda seed: leave_at_random(clean, seed), range(WORKERS)))
    clean.wait_idle()
    assert sent > 100
    for number in range(100):
        assert ask(clean.client, body(stream=bool(number % 2), model="mock")).text == text(12)
    for replica in clean.fleet.replicas:
        replica.wait_for(lambda calls: all(call.outcome for call in calls))
        assert replica.stats()["running"] == 0
    # A record each, but for those that left before their head was in.
    clean.gateway.wait_until(lambda: len(whole_lines(clean.log)) >= sent - WORKERS + 100)


@pytest.mark.parametrize(("queue", "refused"), [(2000, 0), (0, 4)])
def test_p04_over_the_limit_of_connections_calls_wait_or_are_told_when_to_come_back(queue: int, refused: int) -> None:
    with spawn_fleet(settings="service_ms=500") as fleet:
        replica = {"url": fleet.urls[0], "connections": 2}
        model = {"name": "mock", "engine": "openai", "replicas": [replica], "start_within": {"standard": "1m"}}
        tree = configuration(models=[model], admission={"queue": queue})
        with running_gateway(tree) as gateway, gateway.client() as client, ThreadPoolExecutor(6) as crowd:
            answers = list(crowd.map(lambda _: ask(client, body()), range(6)))
            assert sorted(one.status for one in answers) == [200] * (6 - refused) + [503] * refused
            for one in answers:
                if one.error is not None:
                    assert one.error["code"] == "overloaded"
                    assert int(one.headers["retry-after"]) >= 1
            assert fleet.replicas[0].stats()["open_connections"] <= 2
            gateway.wait_idle()


@pytest.mark.parametrize("fault", ["", "fault=done_late", "fault=close_idle", "fault=close_reuse"])
def test_p04_connections_are_kept_as_long_as_the_server_keeps_them(clean: Stand, fault: str, stream: bool) -> None:
    directive = f"tokens=3,{fault}" if fault else "tokens=3"
    pool = clean.pools()[2]
    clean.fleet.replicas[0].listen("open", drop=True)  # what other tests have left
    clean.gateway.wait_until(lambda: not pool._open)
    for _ in range(6):
        answer = ask(clean.client, body(directive, model="lone", stream=stream))
        assert (answer.status, answer.text) == (200, text(3))
        clean.gateway.wait_until(lambda: len(pool._open) == len(pool._idle))  # the last bytes may come late
    if fault in ("", "fault=done_late"):
        assert len(pool._open) <= 2  # a readiness probe may have needed one of its own
