"""P03: gateways that count in one store keep to limits in sum, and serve on while it is away, as each plan says."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx2
import pytest

from security.limits.redis_store import GATEWAYS
from security.limits.script import LASTS
from tests.flows.quotas.conftest import STORE, VARIABLE, two_gateways
from tests.support import plain
from tests.support.asking import request_bytes
from tests.support.balancer import Pair
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.limited import WHOLE_DAY, ask_mixed, left, limited, plan, refused
from tests.support.queueing import Queueing, named
from tests.support.raw import RawClient
from tests.support.valkey import ValkeyServer, running_valkey
from tests.support.waiting import PATIENCE, wait_until

SOON = 5.0
"""Seconds after which the store is asked again, once it is back."""


@pytest.fixture
def valkey(monkeypatch: pytest.MonkeyPatch) -> Iterator[ValkeyServer]:
    with running_valkey("pass-word") as server:
        monkeypatch.setenv(VARIABLE, server.url)
        yield server


def asked_together(pair: Pair, sent: dict[str, Any], number: int, directive: str, **members: Any) -> Counter[int]:
    """So many at a time, each over a connection of its own, so that both gateways get their share; by status."""

    def ask(_: int) -> int:
        with pair.client() as client:
            wanted = named("each", directive, **members)
            return client.post("/v1/chat/completions", json=wanted, headers=sent).status_code

    with ThreadPoolExecutor(number) as threads:
        return Counter(threads.map(ask, range(number)))


def test_p02_two_gateways_keep_to_one_limit_together(fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer) -> None:
    """By the model server's own count; what could be given is given."""
    closed = plan(key={"tokens_per_day": WHOLE_DAY}, without_store="closed")
    with two_gateways(fleet, tmp_path, closed) as (pair, sent):
        told = sum((asked_together(pair, sent, 20, "tokens=60", max_tokens=60) for _ in range(6)), Counter())
        assert told.keys() <= {200, 429, 503}
        assert told[429] > 0
        passed = pair.metric("snowshed_requests_total", outcome="success")
        over = pair.metric("snowshed_over_limit_total", enforced="true")
        assert all(passed), "both have served"
        assert all(over), "both have refused"
    calls = fleet.replicas[0].calls()
    produced = sum(call.prompt_tokens + call.tokens for call in calls)
    assert len(calls) == told[200]
    assert WHOLE_DAY - 300 < produced <= WHOLE_DAY


def test_p02_after_a_mix_of_endings_the_store_stands_at_the_truth(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    """To the token, once all that was taken in advance has been given back."""
    with limited(fleet, tmp_path, plan(key={"tokens_per_day": WHOLE_DAY}), quotas=STORE) as place:
        truth = ask_mixed(place)
        expected = {"key:tokens_per_day": WHOLE_DAY - truth}
        assert wait_until(lambda: left(place), expected.__eq__) == expected


def test_p08_two_gateways_share_slots_and_free_them_for_one_another(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    with two_gateways(fleet, tmp_path, plan(key={"concurrent_requests": 3}, without_store="closed")) as (pair, sent):
        for _ in range(3):
            told = asked_together(pair, sent, 12, "service_ms=1000")
            assert 2 <= told[200] <= 3, told
            wait_until(lambda: asked_together(pair, sent, 3, "tokens=1") == {200: 3}, seconds=SOON * 2)


def test_p08_the_slots_of_a_killed_gateway_are_free_after_a_while(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    """A hold in the store lasts no longer than nobody renews it: half a minute, which has passed here in a moment."""
    with two_gateways(fleet, tmp_path, plan(key={"concurrent_requests": 1}, without_store="closed")) as (pair, sent):
        one, other = pair.gateways
        key = {name: value.decode() for name, value in sent.items()}
        with RawClient(one.url) as client:
            client.socket.sendall(request_bytes(named("first", "service_ms=60000"), key))
            fleet.replicas[0].wait_for(lambda calls: len(calls) == 1)
            one.child.kill()
            one.wait(PATIENCE)
        assert _ask(other.url, sent).status_code == 429
        with valkey.client() as redis:
            (slots,) = redis.keys("snowshed:*concurrent_requests")
            ((name, until),) = redis.zscan_iter(slots)
            assert 0 < until / 1e6 - time.time() <= LASTS
            redis.zadd(slots, {name: until - LASTS * 1e6})
        wait_until(lambda: _ask(other.url, sent).status_code == 200, seconds=SOON * 2)


def _ask(url: str, sent: dict[str, Any]) -> httpx2.Response:
    return plain.post(f"{url}/v1/chat/completions", json=named("each"), headers=sent, timeout=PATIENCE)


@contextmanager
def one_of_two(fleet: SpawnedFleet, folder: Path, valkey: ValkeyServer, mode: str) -> Iterator[Queueing]:
    """A gateway that knows of another one."""
    with valkey.client() as client:
        client.zadd(GATEWAYS, {"other": 2**52})
    allowed = plan(key={"requests_per_minute": 40}, without_store=mode)
    with limited(fleet, folder, allowed, quotas=STORE) as place:
        assert place.ask(named("before"), "acme").answer.headers["x-ratelimit-remaining-requests"] == "39"
        yield place


def outage(place: Queueing, number: int) -> list[Any]:
    """Answers while the store is away: never a 500, and nobody thinks the gateway ill."""
    answers = [place.ask(named("meanwhile"), "acme").answer for _ in range(number)]
    assert {answer.status for answer in answers} <= {200, 429, 503}
    ready = plain.get(f"{place.gateway.ops_url}/readyz")
    assert ready.status_code == 200
    assert "limits: the store that gateways share can't be asked" in ready.text
    assert plain.get(f"{place.gateway.ops_url}/livez").status_code == 200
    assert store_up(place) == 0
    return answers


def store_up(place: Queueing) -> float:
    return metric(plain.get(f"{place.gateway.ops_url}/metrics").text, "snowshed_limit_store_up")


def come_back(place: Queueing) -> None:
    """Within a few seconds it is asked again, by the first who comes."""
    began = time.monotonic()
    wait_until(lambda: store_up(place) == 1)
    assert time.monotonic() - began < SOON * 2


@pytest.mark.parametrize("how", ["killed", "frozen"])
def test_p03_without_the_store_a_closed_plan_lets_nobody_pass(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer, how: str
) -> None:
    with one_of_two(fleet, tmp_path, valkey, "closed") as place:
        valkey.stop() if how == "killed" else valkey.freeze()
        began = time.monotonic()
        answers = outage(place, 20)
        assert time.monotonic() - began < 10, "three times 50 ms, and then it is not asked"
        for answer in answers:
            assert answer.status == 503
            assert (answer.error["code"], answer.error["type"]) == ("limits_unavailable", "server_error")
            assert 1 <= int(answer.headers["retry-after"]) <= 120
        valkey.start() if how == "killed" else valkey.thaw()
        come_back(place)
        assert place.ask(named("after"), "acme").told == (200, "")
    assert len(place.asked()) == 2


def test_p03_without_the_store_an_open_plan_limits_nobody(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    with one_of_two(fleet, tmp_path, valkey, "open") as place:
        valkey.stop()
        assert {answer.status for answer in outage(place, 60)} == {200}
        valkey.start()
        come_back(place)


def test_p03_without_the_store_a_gateway_keeps_to_its_part(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    """Of 40 a minute half, from the level known last; 40 more drain in a minute."""
    with one_of_two(fleet, tmp_path, valkey, "share") as place:
        valkey.freeze()
        began = time.monotonic()
        answers = outage(place, 60)
        passed = sum(answer.status == 200 for answer in answers)
        assert 18 <= passed <= 21 + (time.monotonic() - began)
        refused(answers[-1])
        valkey.thaw()
        come_back(place)
        wait_until(lambda: int(place.ask(named("after"), "acme").answer.headers["x-ratelimit-remaining-requests"]) < 21)


@pytest.mark.parametrize("mode", ["closed", "share"])
def test_p08_a_slot_that_is_let_go_of_while_the_store_is_silent_is_free_after_that(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer, mode: str
) -> None:
    allowed = plan(key={"concurrent_requests": 1}, without_store=mode)
    with limited(fleet, tmp_path, allowed, quotas=STORE) as place:
        first = place.asking(named("first", "service_ms=500"), "acme")
        place.gateway.wait_until(lambda: place.in_flight == 1)
        valkey.freeze()
        assert first.result().told == (200, "")
        if mode == "share":
            assert place.ask(named("meanwhile"), "acme").told == (200, ""), "here it is free at once"
        valkey.thaw()
        began = time.monotonic()
        wait_until(lambda: place.ask(named("after"), "acme").answer.status == 200)
        assert time.monotonic() - began < SOON * 2


def test_p03_a_gateway_starts_while_the_store_is_away(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    valkey.stop()
    with limited(fleet, tmp_path, plan(key={"requests_per_minute": 2}), quotas=STORE) as place:
        assert [answer.status for answer in outage(place, 3)] == [200, 200, 429]
        valkey.start()
        come_back(place)


def test_p03_a_plan_that_is_only_tried_refuses_nobody_while_the_store_is_away(
    fleet: SpawnedFleet, tmp_path: Path, valkey: ValkeyServer
) -> None:
    tried = plan(key={"requests_per_minute": 1, "concurrent_requests": 1}, without_store="closed", enforce=False)
    with limited(fleet, tmp_path, tried, quotas=STORE) as place:
        valkey.stop()
        assert [place.ask(named("each"), "acme").told for _ in range(10)] == [(200, "")] * 10
        assert metric(plain.get(f"{place.gateway.ops_url}/metrics").text, "snowshed_limit_store_up") == 0
