"""P07: a silent or stalled upstream meets the timer of its phase, and nobody else feels it."""

from __future__ import annotations

import threading
import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from loadtests.prove.answers import Answer
from tests.support.asking import ask, body, text
from tests.support.stand import SLACK, TIMER, Stand

BEFORE_CONTENT = ["fault=accept_silent", "fault=headers_silent", "fault=half_open", "ttft_ms=20000,service_ms=20000"]
MIDWAY = ["fault=stall,after=20,tokens=40", "fault=drip,tokens=40"]
"""Silence after 20 tokens; a token every 20 s."""


def lone(directive: str, *, stream: bool) -> dict[str, Any]:
    return body(directive, model="lone", stream=stream)


def timed(stand: Stand, wanted: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> tuple[Answer, float]:
    began = time.monotonic()
    answer = ask(stand.client, wanted, headers)
    return answer, time.monotonic() - began


def told(answer: Answer) -> tuple[int, str]:
    assert answer.error is not None
    return answer.status, answer.error["code"]


@pytest.mark.parametrize("directive", BEFORE_CONTENT)
def test_p07_silence_before_content_ends_at_the_first_token_timer(clean: Stand, directive: str, stream: bool) -> None:
    answer, seconds = timed(clean, lone(directive, stream=stream))
    assert told(answer) == (504, "upstream_timeout")
    assert TIMER <= seconds < TIMER + SLACK


def test_p07_a_connection_without_an_answer_ends_at_the_connect_timer(clean: Stand, stream: bool) -> None:
    clean.fleet.replicas[0].listen("backlog_full", drop=True)
    answer, seconds = timed(clean, lone("", stream=stream))
    assert told(answer) == (504, "upstream_timeout")
    assert TIMER <= seconds < TIMER + SLACK
    assert ask(clean.client, body(stream=stream)).text == text(12)  # the other replica is there


@pytest.mark.parametrize("directive", MIDWAY)
def test_p07_a_stream_that_stalls_ends_at_the_inter_token_timer_with_an_error_event(
    clean: Stand, directive: str
) -> None:
    answer, seconds = timed(clean, lone(directive, stream=True))
    assert told(answer) == (200, "upstream_timeout")
    assert answer.text == text(20 if "after" in directive else 1)
    assert answer.finish_reasons == []
    assert TIMER <= seconds < TIMER + SLACK


@pytest.mark.parametrize("directive", MIDWAY)
def test_p07_a_unary_answer_that_stalls_or_drips_ends_in_time(clean: Stand, directive: str) -> None:
    answer, seconds = timed(clean, lone(directive, stream=False))
    assert told(answer) == (504, "upstream_timeout")
    assert seconds < TIMER + SLACK


def test_p07_a_steady_stream_lasts_longer_than_any_of_the_timers(clean: Stand) -> None:
    answer, seconds = timed(clean, lone("tokens=40,delay_ms=30", stream=True))
    assert (answer.error, answer.text) == (None, text(40))
    assert seconds > 2 * TIMER


@pytest.mark.parametrize(
    ("directive", "status"),
    [
        ("fault=accept_silent", 504),
        ("tokens=1000,delay_ms=20", 200),  # lively, but too long
        ("fault=drip,drip_ms=100,tokens=1000", 200),
    ],
)
@pytest.mark.parametrize("header", ["x-request-timeout-ms", "x-stainless-read-timeout"])
def test_p07_the_total_timer_is_the_callers_and_passed_on(
    clean: Stand, header: str, directive: str, status: int
) -> None:
    milliseconds = 250 if status == 504 else 900
    value = str(milliseconds if header.endswith("-ms") else milliseconds / 1000)
    answer, seconds = timed(clean, lone(directive, stream=True), {header: value})
    assert told(answer) == (status, "upstream_timeout")
    assert milliseconds / 1000 <= seconds < milliseconds / 1000 + SLACK
    (call,) = clean.fleet.replicas[0].wait_for(lambda calls: bool(calls and calls[0].end))
    assert (
        0 < int(call.header("x-request-timeout-ms") or 0) <= milliseconds + 1200
    )  # by the sweeper's clock, and the grace
    assert call.outcome == "cancelled"


def test_p07_the_total_timer_of_a_unary_answer(clean: Stand) -> None:
    answer, _ = timed(clean, lone("service_ms=20000", stream=False), {"x-request-timeout-ms": "200"})
    assert told(answer) == (504, "upstream_timeout")
    assert "deadline" in str(answer.error)


def test_the_callers_time_is_capped(clean: Stand) -> None:
    ask(clean.client, lone("", stream=False), {"x-request-timeout-ms": "999999999999"})
    (call,) = clean.fleet.replicas[0].calls()
    assert 500_000 < int(call.header("x-request-timeout-ms") or 0) <= 601_200  # by the sweeper's clock, and the grace


def test_p07_one_hanging_replica_delays_nobody_else(clean: Stand) -> None:
    """While twenty requests hang on the first replica, others are served by it and by the second one."""
    hanging = lone("fault=accept_silent", stream=True)
    began = time.monotonic()
    with ThreadPoolExecutor(20) as crowd, clean.gateway.client() as client:
        waiting = [crowd.submit(ask, clean.client, hanging) for _ in range(20)]
        clean.gateway.wait_until(lambda: len(clean.gateway.objects.edge.traffic.live) > 0)
        served = 0
        while not all(one.done() for one in waiting):
            assert ask(client, body(stream=bool(served % 2))).text == text(12)
            served += 1
        assert [told(one.result()) for one in waiting] == [(504, "upstream_timeout")] * 20
    assert served > 0
    assert time.monotonic() - began < TIMER + 2 * SLACK


def test_p16_a_silent_first_replica_is_followed_by_one_more_attempt_and_no_third(clean: Stand, stream: bool) -> None:
    label = f"twice-{stream}-{threading.get_ident()}"
    answer = ask(clean.client, body("fault=accept_silent", stream=stream), {"x-client-request-id": label})
    assert told(answer) == (504, "upstream_timeout")
    record = clean.record(lambda line: line["client_request_id"] == label)
    assert (record["attempts"], record["outcome"], record["status"]) == (2, "failed", 504)
