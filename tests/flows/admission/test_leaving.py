"""Who waits may leave, or run out of time: then they are gone at once, and no upstream is ever asked for them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import RunningGateway
from tests.support.queueing import Queueing, named, names, queueing
from tests.support.raw import RawClient

SOON = 2.0
"""Seconds within which something has happened at once, on a busy machine."""


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with queueing(fleet, tmp_path) as made:
        yield made


def send(client: RawClient, name: str, **members: Any) -> None:
    """Its name is its label, too."""
    client.socket.sendall(request_bytes(named(name, **members), {"x-client-request-id": name}))


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_who_leaves_is_gone_at_once_and_was_never_asked_for(place: Queueing, stream: bool) -> None:
    with place.holding():
        with RawClient(place.gateway.url) as fickle:
            send(fickle, "fickle", stream=stream)
            place.wait_for_queue(1)
            steady = place.lining_up(named("steady"))
        left = time.monotonic()
        place.wait_for_queue(1)
        assert time.monotonic() - left < SOON
        record = place.record("fickle")
    assert steady.result().told == (200, "")
    assert names(place.wait_for_asked(1)) == ["steady"]
    assert (record["code"], record["client_gone"], record["attempts"]) == ("client_gone", True, 0)
    assert record["queue_ms"] > 0


def test_of_a_hundred_who_leave_together_nothing_is_left(place: Queueing) -> None:
    edge = place.gateway.objects.edge
    with place.holding():
        clients = [RawClient(place.gateway.url) for _ in range(100)]
        for number, client in enumerate(clients):
            client.socket.sendall(request_bytes(named(f"n{number}", user="x" * 1000)))
        place.wait_for_queue(len(clients))
        assert place.admission().queue.size > 100 * 1000
        for client in clients:
            client.socket.close()
        place.wait_for_queue(0)
        assert place.admission().queue.size == 0
        place.gateway.wait_until(lambda: edge.accounts.in_flight == 1)
    assert place.asked() == []


def cancel_in_turn(gateway: RunningGateway, place: Queueing) -> None:
    """On the gateway's loop: the first gets the place and, before it hears of it, its client is seen to have left."""
    admission = place.admission()
    (ticket,) = admission.queue.heads()
    (holder, waiting) = sorted(gateway.objects.edge.traffic.live, key=lambda one: one.record.headers_at)
    (replica,) = admission.pool.replicas
    waiting.wire.abort()  # the loop tells of it before the turn, which is not there yet
    admission.pool.left(replica, holder.record, None)
    assert ticket.turn.done()
    assert list(replica.active) == [waiting.record]


def test_who_leaves_in_the_moment_of_their_turn_gives_the_place_to_the_next(place: Queueing) -> None:
    with place.holding(), RawClient(place.gateway.url) as fickle:
        send(fickle, "fickle")
        place.wait_for_queue(1)
        place.gateway.run(lambda: cancel_in_turn(place.gateway, place))
        record = place.record("fickle")
        assert place.ask(named("next")).told == (200, "")
    assert (record["code"], record["attempts"]) == ("client_gone", 0)
    assert names(place.wait_for_asked(1)) == ["next"]


def test_places_and_clients_that_go_at_the_same_time_are_told_apart(place: Queueing) -> None:
    """Each time a place is freed just as the first of those who wait leaves; nobody waits for ever."""
    for turn in range(30):
        with place.holding() as (holder,):
            with RawClient(place.gateway.url) as fickle:
                send(fickle, f"fickle-{turn}")
                place.wait_for_queue(1)
                steady = place.lining_up(named("steady"))
                holder.socket.close()
            assert steady.result().told == (200, "")
        place.gateway.wait_idle()
    assert names(place.asked()).count("steady") == 30


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_a_caller_s_own_deadline_ends_the_wait(place: Queueing, stream: bool) -> None:
    """Whether it is found to be too late for it a moment before or at the end, the upstream is not asked."""
    with place.holding():
        heard = place.ask(named("hasty", stream=stream), x_request_timeout_ms="400", x_client_request_id="hasty")
        assert heard.told in {(503, "overloaded"), (504, "upstream_timeout")}
        assert 0.2 <= heard.seconds < 4.0
        assert place.waiting() == 0
        assert place.record("hasty")["attempts"] == 0
    assert place.ask(named("after")).told == (200, "")
    assert names(place.wait_for_asked(1)) == ["after"]


def test_a_deadline_that_a_wait_can_not_meet_is_not_waited_for(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """A request takes a second, and ten of the class above wait: who has five seconds gets no place behind them."""
    with queueing(fleet, tmp_path, tenants={"urgent": {"priority": 1}, "usual": {}}) as place:
        assert place.ask(named("first", "service_ms=1000"), "usual").told == (200, "")
        place.wait_until_it_can_tell()
        with place.holding(who="usual"):
            waiting = [place.lining_up(named("early"), "urgent") for _ in range(10)]
            heard = place.ask(named("hasty"), "usual", x_request_timeout_ms="5000")
            assert (heard.told, heard.seconds < SOON) == ((503, "overloaded"), True)
        assert {one.result().told for one in waiting} == {(200, "")}
