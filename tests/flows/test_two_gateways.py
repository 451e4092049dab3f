"""P27: one process counts for itself, and what is scraped from all of them sums up to the truth."""

from __future__ import annotations

import signal
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import httpx2
import pytest

from loadtests.prove.answers import Answer
from tests.support import plain
from tests.support.asking import ask, body
from tests.support.balancer import Pair
from tests.support.gateway import SpawnedGateway, metric
from tests.support.waiting import PATIENCE, wait_until

REQUESTS, CALLERS, STREAMS = 400, 8, 10


def ask_many(pair: Pair, count: int) -> list[Answer]:
    """A third each of unary answers, streams and requests for a model that is not there, from several callers."""
    wanted = [body(), body(stream=True), body(model="absent")]

    def caller(turns: range) -> list[Answer]:
        with pair.client() as client:
            return [ask(client, wanted[turn % 3]) for turn in turns]

    with ThreadPoolExecutor(CALLERS) as pool:
        shares = pool.map(caller, (range(first, count, CALLERS) for first in range(CALLERS)))
        return [answer for share in shares for answer in share]


def test_p27_scrapes_of_two_processes_sum_up_to_what_was_asked(two_gateways: Pair) -> None:
    """P27: at each moment no more than was asked, never less than before, and at the end all of it."""
    seen, finished = [0.0], threading.Event()

    def scrape() -> None:
        while not finished.is_set():
            seen.append(sum(two_gateways.metric("snowshed_requests_total")))

    scraping = threading.Thread(target=scrape)
    scraping.start()
    answers = ask_many(two_gateways, REQUESTS)
    finished.set()
    scraping.join(PATIENCE)
    assert {answer.status for answer in answers} == {200, 404}
    absent = sum(answer.status == 404 for answer in answers)
    wait_until(lambda: sum(two_gateways.metric("snowshed_requests_total")), lambda total: total == REQUESTS)
    assert sum(two_gateways.metric("snowshed_requests_total", code="model_not_found")) == absent
    assert sum(two_gateways.metric("snowshed_requests_total", outcome="success")) == REQUESTS - absent
    assert seen == sorted(seen)
    assert seen[-1] <= REQUESTS
    assert two_gateways.metric("snowshed_requests_total") == [REQUESTS / 2] * 2, "connections took turns"


def test_p27_a_killed_process_takes_its_gauges_along(two_gateways: Pair) -> None:
    """P27: nobody scrapes the dead, and no file of theirs goes on telling of streams that are gone."""
    first, second = two_gateways.gateways
    with ExitStack() as stack:
        for _ in range(STREAMS):
            client = stack.enter_context(two_gateways.client())
            endless = body("tokens=100000,delay_ms=50", stream=True)
            response = stack.enter_context(client.stream("POST", "/v1/chat/completions", json=endless))
            assert response.status_code == 200
        share = STREAMS / 2
        wait_until(lambda: two_gateways.metric("snowshed_in_flight"), lambda seen: seen == [share, share])
        first.child.send_signal(signal.SIGKILL)
        assert first.wait(PATIENCE) == -signal.SIGKILL
        with pytest.raises(httpx2.ConnectError):
            in_flight(first)
        assert in_flight(second) == share
        with two_gateways.client() as client:
            assert [ask(client, body()).status for _ in range(3)] == [200] * 3, "the other one takes them"
    wait_until(lambda: in_flight(second), lambda seen: seen == 0)


def in_flight(gateway: SpawnedGateway) -> float:
    return metric(plain.get(f"{gateway.ops_url}/metrics").text, "snowshed_in_flight")
