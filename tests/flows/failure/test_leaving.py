"""P01: the client leaves, at whatever moment: the upstream is told soon, nothing stays held, tokens are counted."""

from __future__ import annotations

import itertools
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import ask, body, hesitant, request_bytes, text
from tests.support.stand import Stand, standing
from tests.support.waiting import unmoved, wait_until

SOON = 1.0
"""Ten times what is promised; `make prove` holds the promise itself."""
_numbers = itertools.count()


@pytest.fixture(scope="module")
def stand(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stand]:
    log = tmp_path_factory.mktemp("records") / "records.jsonl"
    with standing(log, {"connect": 20, "first_token": 20, "inter_token": 20, "stall": 20}, "tokens=500") as running:
        yield running


def send(stand: Stand, client: socket.socket, directive: str, **members: Any) -> str:
    """Send a request to `lone`; gives its label."""
    label = f"leaving-{next(_numbers)}"
    wanted = body(directive, model="lone", **members)
    client.sendall(request_bytes(wanted, {"x-client-request-id": label}))
    return label


def record(stand: Stand, label: str) -> dict[str, Any]:
    return stand.record(lambda line: line["client_request_id"] == label)


def assert_told_soon(stand: Stand, left: float) -> int:
    """Tokens that the upstream had made when it saw the cancel."""
    (call,) = stand.fleet.replicas[0].wait_for(lambda calls: bool(calls and calls[0].end))
    assert call.end is not None
    assert (call.outcome, call.end - left < SOON) == ("cancelled", True), call.end - left
    return call.tokens


def test_p01_leaving_while_the_upstream_is_being_connected_to(clean: Stand, stream: bool) -> None:
    clean.fleet.replicas[0].listen("backlog_full", drop=True)
    pool = clean.pools()[2]
    clean.gateway.wait_until(lambda: not pool._open)
    with clean.gateway.connect() as client:
        label = send(clean, client, "", stream=stream)
        clean.gateway.wait_until(lambda: pool._connecting == 1)
    clean.gateway.wait_until(lambda: pool._connecting == 0, SOON)
    clean.wait_idle()
    assert record(clean, label)["code"] == "client_gone"
    clean.fleet.replicas[0].listen("open")
    assert ask(clean.client, body("tokens=3", model="lone")).text == text(3)


def test_p01_leaving_before_the_first_token(clean: Stand, stream: bool) -> None:
    with clean.gateway.connect() as client:
        label = send(clean, client, "ttft_ms=60000,service_ms=60000", stream=stream)
        clean.fleet.replicas[0].wait_for(lambda calls: len(calls) == 1)
    assert assert_told_soon(clean, time.monotonic()) == 0
    clean.wait_idle()
    found = record(clean, label)
    assert (found["outcome"], found["code"], found["client_gone"]) == ("ignored", "client_gone", True)
    assert (found["status"], found["attempts"], found["completion_tokens"]) == (0, 1, 0)


@pytest.mark.parametrize("chunking", ["event", "split"])
def test_p01_leaving_after_five_tokens_and_the_partial_usage_is_right(clean: Stand, chunking: str) -> None:
    with clean.gateway.connect() as client:
        label = send(clean, client, f"delay_ms=40,chunking={chunking}", stream=True)
        got = b""
        while b'"content":" jumps"' not in got:
            got += client.recv(4096)
    made = assert_told_soon(clean, time.monotonic())
    clean.wait_idle()
    found = record(clean, label)
    assert (found["outcome"], found["code"], found["status"]) == ("ignored", "client_gone", 200)
    assert made - 2 <= found["completion_tokens"] <= made
    assert found["completion_tokens"] >= 5
    assert found["usage_exact"] is False


def test_p01_leaving_in_the_midst_of_a_unary_answer(clean: Stand) -> None:
    with clean.gateway.connect() as client:
        label = send(clean, client, "fault=stall")
        clean.fleet.replicas[0].wait_for(lambda calls: bool(calls and calls[0].first))
    assert_told_soon(clean, time.monotonic())
    clean.wait_idle()
    assert record(clean, label)["code"] == "client_gone"


def wait_until_stalled(stand: Stand) -> None:
    traffic = stand.gateway.objects.edge.traffic
    stand.gateway.wait_until(lambda: any("stalled" in repr(one) for one in tuple(traffic.live)))


def full(stand: Stand) -> int:
    """Tokens that the upstream could write before it had to wait."""
    return wait_until(lambda: stand.fleet.replicas[0].calls()[0].tokens, unmoved())


def test_p01_leaving_while_not_reading(clean: Stand) -> None:
    """A stalled client holds the whole chain back; when it goes, the upstream is still told at once."""
    with hesitant(clean.gateway.url) as client:
        label = send(clean, client, "tokens=200000", stream=True, max_tokens=200_000)
        wait_until_stalled(clean)
        assert full(clean) < 200_000  # back-pressure
    assert_told_soon(clean, time.monotonic())
    clean.wait_idle()
    assert record(clean, label)["client_gone"] is True


def test_a_client_that_stops_reading_for_too_long_is_cut(tmp_path: Path) -> None:
    with standing(tmp_path / "records.jsonl", {"stall": 0.4}) as stand:
        with hesitant(stand.gateway.url) as client:
            label = send(stand, client, "tokens=200000", stream=True, max_tokens=200_000)
            wait_until_stalled(stand)
            (call,) = stand.fleet.replicas[0].wait_for(lambda calls: bool(calls and calls[0].end))
            assert (call.outcome, call.tokens < 200_000) == ("cancelled", True)
        stand.wait_idle()
        assert record(stand, label)["client_gone"] is True


def test_p01_leaving_with_the_body_half_sent(clean: Stand) -> None:
    edge = clean.gateway.objects.edge
    wanted = request_bytes(body(model="lone", user="u" * 10_000), {"x-client-request-id": "half"})
    with clean.gateway.connect() as client:
        client.sendall(wanted[:5000])
        clean.gateway.wait_until(lambda: edge.memory.held > 0)
    clean.wait_idle()
    assert record(clean, "half")["code"] in {"client_gone", "incomplete_body"}  # a FIN may be only half a leaving
    assert clean.fleet.replicas[0].calls() == []


def test_p01_many_leave_at_once(clean: Stand) -> None:
    clients = [clean.gateway.connect() for _ in range(40)]
    for number, client in enumerate(clients):
        send(clean, client, "delay_ms=50", stream=bool(number % 2))
    clean.fleet.replicas[0].wait_for(lambda calls: sum(call.outcome is None for call in calls) >= 20)
    for client in clients:
        client.close()
    left = time.monotonic()
    calls = clean.fleet.replicas[0].wait_for(lambda calls: all(call.end for call in calls))
    assert all(call.end is not None and call.end - left < SOON for call in calls)
    clean.wait_idle()
    assert ask(clean.client, body("tokens=3", model="lone")).text == text(3)
