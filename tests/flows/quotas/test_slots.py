"""P08: whatever becomes of a request, what it held of a limit on requests under way is free at once."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support.asking import request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.limited import limited, plan, refused, slots_taken
from tests.support.queueing import LONG, Queueing, named, served
from tests.support.raw import RawClient

ONE = plan(key={"concurrent_requests": 1})


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with limited(fleet, tmp_path, ONE) as made:
        yield made
        assert slots_taken(made) == 0


@contextmanager
def under_way(place: Queueing, directive: str, **members: Any) -> Iterator[RawClient]:
    """A request that the model server has; its client leaves at the end, if it has not before."""
    with RawClient(place.gateway.url) as client:
        client.socket.sendall(request_bytes(named("first", directive, **members), place.headers("acme")))
        place.gateway.wait_until(lambda: place.in_flight == 1)
        yield client


ENDINGS = {
    "tokens=2": 200,
    "tokens=20,delay_ms=1": 200,
    "fault=status,status=500": 502,
    "fault=status,status=400": 400,
    "fault=status,status=503": 503,
    "fault=reset": 502,
    "fault=error_body_200": 502,
}


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
@pytest.mark.parametrize("directive", ENDINGS)
def test_p08_a_slot_is_free_when_the_answer_is_there(place: Queueing, directive: str, *, stream: bool) -> None:
    """Again and again on one connection: nobody is refused who comes right after an answer."""
    for _ in range(10):
        place.gateway.run(place.gateway.forgive)
        assert place.ask(named("each", directive, stream=stream), "acme").answer.status == ENDINGS[directive]


def test_p08_a_slot_is_free_when_a_stream_breaks(place: Queueing) -> None:
    for _ in range(3):
        heard = place.ask(named("each", "tokens=9,after=4,fault=cut", stream=True), "acme")
        assert heard.told == (200, "upstream_interrupted")


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p08_a_slot_is_free_when_the_deadline_has_passed(place: Queueing, *, stream: bool) -> None:
    for _ in range(3):
        place.gateway.run(place.gateway.forgive)
        heard = place.ask(named("each", LONG, stream=stream), "acme", x_request_timeout_ms="100")
        assert heard.told == (504, "upstream_timeout")


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_p08_a_slot_is_held_as_long_as_its_request_and_free_once_its_client_has_left(
    place: Queueing, *, stream: bool
) -> None:
    with under_way(place, LONG, stream=stream):
        message, wait = refused(place.ask(named("next"), "acme").answer)
        assert message.startswith("Over the key's limit of 1 concurrent requests (0 are left)")
        assert 0 < wait <= 1
        assert slots_taken(place) == 1
    place.gateway.wait_until(lambda: slots_taken(place) == 0)
    assert place.ask(named("next"), "acme").told == (200, "")


def test_p08_a_slot_is_held_to_the_last_byte_of_a_stream(place: Queueing) -> None:
    with under_way(place, "tokens=1000,delay_ms=20", stream=True) as client:
        client.until(b'"content":')
        refused(place.ask(named("next"), "acme").answer)
    place.gateway.wait_until(lambda: slots_taken(place) == 0)
    assert place.ask(named("next"), "acme").told == (200, "")


def test_p08_who_leaves_the_queue_leaves_the_slot(fleet: SpawnedFleet, tmp_path: Path) -> None:
    tenants: dict[str, dict[str, Any]] = {"acme": {}, "busy": {}}
    with limited(fleet, tmp_path, ONE, tenants=tenants, models=[served(fleet.urls, 1)]) as place:
        with place.holding(who="busy"):
            with RawClient(place.gateway.url) as fickle:
                fickle.socket.sendall(request_bytes(named("fickle"), place.headers("acme")))
                place.wait_for_queue(1)
                refused(place.ask(named("next"), "acme").answer)
                assert slots_taken(place) == 2
            place.gateway.wait_until(lambda: slots_taken(place) == 1)
            assert place.ask(named("next"), "acme", x_request_timeout_ms="100").answer.status in {503, 504}
            assert slots_taken(place) == 1
        place.gateway.wait_until(lambda: slots_taken(place) == 0)


def test_p08_after_every_ending_at_once_all_slots_are_there_again(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """A fifth each of five endings, five at a time: then five more at the same time are let in."""
    with limited(fleet, tmp_path, plan(key={"concurrent_requests": 5})) as place:

        def ends(turn: int) -> int:
            match turn % 5:
                case 0:
                    return place.ask(named("good"), "acme").answer.status
                case 1:
                    return place.ask(named("bad", "fault=status,status=500"), "acme").answer.status
                case 2:
                    return place.ask(named("late", LONG), "acme", x_request_timeout_ms="50").answer.status
                case cut:
                    directive = "tokens=1000,delay_ms=5" if cut == 3 else LONG
                    with RawClient(place.gateway.url) as client:
                        wanted = named("left", directive, stream=True)
                        client.socket.sendall(request_bytes(wanted, place.headers("acme")))
                        if cut == 3:
                            client.until(b"\r\n\r\n")
                    return 0

        statuses = list(place.threads.map(ends, range(200)))
        assert {200, 0} <= set(statuses) <= {0, 200, 429, 502, 503, 504}
        place.gateway.wait_idle()
        assert slots_taken(place) == 0
        place.gateway.run(place.gateway.forgive)
        asking = [place.asking(named("after", "service_ms=300"), "acme") for _ in range(5)]
        assert [one.result().answer.status for one in asking] == [200] * 5
