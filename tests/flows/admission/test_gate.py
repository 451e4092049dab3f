"""Who could get no place whatever they ask for is refused before their body is read, and nobody else is."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.support.fleet import SpawnedFleet
from tests.support.queueing import Queueing, named, queueing, served
from tests.support.talk import Talk, chat, chunked_head, request
from tests.support.waiting import wait_until

BODY = chat("@@tokens=2@@ " + "x" * 1000)


@contextmanager
def shut(place: Queueing) -> Iterator[None]:
    """The only place is taken, and the queue is full."""
    with place.holding():
        waiting = place.lining_up(named("first"))
        yield
    assert waiting.result().told == (200, "")


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with queueing(fleet, tmp_path, admission={"queue": 1}) as made:
        yield made


def head(length: int, *fields: bytes) -> bytes:
    """A request whose body has still to come."""
    announced = request(None, b"Content-Type: application/json", b"Content-Length: %d" % length, *fields)
    assert announced.endswith(b"\r\n\r\n")
    return announced


def test_the_answer_is_there_before_the_body_and_the_connection_goes_on_behind_it(place: Queueing) -> None:
    with Talk(place.gateway.url) as talk:
        with shut(place):
            refused = talk.ask(head(len(BODY)))
            assert (refused.status, refused.error["code"], refused.closes) == (503, "overloaded", False)
            assert place.gateway.objects.edge.memory.held < len(BODY), "nothing of it was kept"
        wait_until(lambda: place.waiting() == place.in_flight == 0)
        assert talk.ask(BODY, request(BODY)).status == 200
    assert len(place.wait_for_asked(2)) == 2


@pytest.mark.parametrize(
    "announced",
    [head(1 << 20), chunked_head(), head(len(BODY), b"Expect: 100-continue")],
    ids=["long", "chunked", "expect"],
)
def test_a_body_that_may_never_come_or_is_long_is_not_waited_for(place: Queueing, announced: bytes) -> None:
    with shut(place), Talk(place.gateway.url) as talk:
        (refused,), how = talk.send(announced).ending()
        assert (refused.status, refused.error["code"], refused.closes) == (503, "overloaded", True)
        assert (how, talk.interim) == ("eof", [])


def test_requests_sent_ahead_are_each_refused_in_their_turn(place: Queueing) -> None:
    with shut(place), Talk(place.gateway.url) as talk:
        talk.send(request(BODY) * 3)
        assert [talk.answer().status for _ in range(3)] == [503] * 3


def test_who_may_ask_another_model_is_let_in_and_served_there(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """Without reading the body nobody knows which one is asked; who may have that model alone is refused."""
    tenants: dict[str, dict[str, int]] = {"both": {}, "one": {}}
    routing = [{"model": "other", "tenants": ["both"]}]
    models = served(fleet.urls), served(fleet.urls, name="other")
    with (
        queueing(
            fleet, tmp_path, *models, tenants=tenants, routing=routing, admission={"queue": 1, "tenant_share": 1}
        ) as place,
        place.holding(who="one") as (holder,),
    ):
        first = place.lining_up(named("first"), "one")
        elsewhere = place.ask(named("elsewhere", model="other"), "both")
        assert (elsewhere.told, elsewhere.answer.headers["x-model-version"]) == ((200, ""), "other@1")
        for who, declared in (("one", 1000), ("both", len(BODY))):
            key = b"Authorization: Bearer " + place.keys[who].text.encode()
            with Talk(place.gateway.url) as talk:
                talk.send(head(declared, key), BODY if who == "both" else b"")
                refused = talk.answer()
                assert (refused.status, refused.error["code"]) == (503, "overloaded")
        assert place.ask(named("stranger"), "").told == (401, "invalid_api_key")
        holder.socket.close()
        assert first.result().told == (200, "")


def test_an_urgent_class_is_let_in_where_the_others_are_not(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """What waits in the classes below is no wait for it."""
    within = {"critical": "5s", "standard": "5s", "batch": "1m"}
    tenants = {"urgent": {"priority": 1}, "usual": {}, "idle": {"priority": -1}}
    with queueing(fleet, tmp_path, tenants=tenants, admission={"start_within": within}) as place:
        # Three that wait that long are clearly more than four fifths of what one may wait, and two clearly less.
        assert place.ask(named("first", "service_ms=1700"), "usual").told == (200, "")
        place.wait_until_it_can_tell()
        with place.holding(who="usual"):
            waiting = [place.asking(named("usual"), "usual") for _ in range(20)]
            wait_until(lambda: any(one.done() for one in waiting))
            key = b"Authorization: Bearer " + place.keys["usual"].text.encode()
            with Talk(place.gateway.url) as talk:
                assert talk.ask(head(1000, key)).status == 503
            urgent = place.lining_up(named("urgent"), "urgent")
            idle = place.lining_up(named("idle"), "idle")
        assert (urgent.result().told, idle.result().told) == ((200, ""), (200, ""))
        assert {one.result().told for one in waiting} == {(200, ""), (503, "overloaded")}


def test_a_long_prompt_that_may_wait_for_longer_is_not_refused_for_it_unread(
    fleet: SpawnedFleet, tmp_path: Path
) -> None:
    """Its prefill takes long, too, so it has more time: here 12 s, of which the wait is a part that fits."""
    long_one = "x" * 400_000
    with queueing(fleet, tmp_path, admission={"start_within": {"standard": "5s"}}) as place:
        assert place.ask(named("first", "service_ms=500")).told == (200, "")
        place.wait_until_it_can_tell()
        with place.holding():
            waiting = [place.asking(named("usual")) for _ in range(20)]
            wait_until(lambda: any(one.done() for one in waiting))
            patient = place.lining_up(named("patient", user=long_one))
        assert patient.result().told == (200, "")
        assert {one.result().told for one in waiting} == {(200, ""), (503, "overloaded")}
