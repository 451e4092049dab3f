"""Who comes first: a request's class is its tenant's, and its caller may lower it, but never raise it."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import Future
from pathlib import Path

import pytest

from tests.support import plain
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.queueing import Heard, Queueing, named, names, queueing

TENANTS = {"urgent": {"priority": 1}, "usual": {}, "idle": {"priority": -1}}


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with queueing(fleet, tmp_path, tenants=TENANTS) as made:
        yield made


def ignored(place: Queueing) -> float:
    page = plain.get(f"{place.gateway.ops_url}/metrics").text
    return metric(page, "snowshed_headers_ignored_total", header="x-priority")


def served_in_turn(place: Queueing, *asked: tuple[str, dict[str, str]]) -> list[str]:
    """Each of these, `who` and their headers, comes while the only place is taken; in which order they get it."""
    with place.holding(who="usual"):
        answers = [place.lining_up(named("-".join((who, *extra.values()))), who, **extra) for who, extra in asked]
    assert [answer.result().answer.status for answer in answers] == [200] * len(asked)
    return names(place.wait_for_asked(len(asked)))


def test_classes_come_in_their_order_whenever_they_asked(place: Queueing) -> None:
    """Within a class the earlier one first."""
    asked = [("idle", {}), ("usual", {"x_priority": "standard"}), ("usual", {}), ("urgent", {})]
    assert served_in_turn(place, *asked) == ["urgent", "usual-standard", "usual", "idle"]


def test_a_caller_may_lower_the_class_of_a_request(place: Queueing) -> None:
    batch, standard = {"x_priority": "batch"}, {"x_priority": "Standard"}
    order = served_in_turn(place, ("urgent", batch), ("urgent", standard), ("urgent", {}), ("usual", {}))
    assert order == ["urgent", "urgent-Standard", "usual", "urgent-batch"]
    assert ignored(place) == 0


def test_nobody_raises_their_class_and_the_wish_is_counted(place: Queueing) -> None:
    critical = {"x_priority": "critical"}
    assert served_in_turn(place, ("idle", critical), ("usual", critical), ("usual", {}), ("urgent", critical)) == [
        "urgent-critical",
        "usual-critical",
        "usual",
        "idle-critical",
    ]
    assert ignored(place) == 2


def test_a_class_that_there_is_not_is_the_caller_s_mistake(place: Queueing) -> None:
    heard: Heard = place.ask(named("odd"), "usual", x_priority="high")
    assert heard.answer.status == 400
    assert heard.answer.error is not None
    assert heard.answer.error["param"] == "x-priority"
    assert place.asked() == []


def test_each_class_waits_as_long_as_it_may(fleet: SpawnedFleet, tmp_path: Path) -> None:
    within = {"critical": "200ms", "standard": "1m", "batch": "1m"}
    with (
        queueing(fleet, tmp_path, tenants=TENANTS, admission={"start_within": within}) as place,
        place.holding(who="usual") as (holder,),
    ):
        usual = place.lining_up(named("usual"), "usual")
        urgent = place.ask(named("urgent"), "urgent")
        assert urgent.told == (503, "overloaded")
        assert 0.2 <= urgent.seconds < 2
        assert place.waiting() == 1
        holder.socket.close()
        assert usual.result().told == (200, "")


def test_the_urgent_do_not_keep_the_usual_out_for_ever(place: Queueing) -> None:
    """Of the work that is served, a twentieth is theirs."""
    order = served_in_turn(place, ("usual", {}), ("usual", {}), *[("urgent", {})] * 45)
    first, second = (at for at, name in enumerate(order) if name == "usual")
    assert 10 <= first <= 25
    assert 30 <= second <= 46


def test_a_queue_that_is_full_for_a_class_still_takes_in_those_above(fleet: SpawnedFleet, tmp_path: Path) -> None:
    """Of twenty that may wait, 17 may be batch, and 19 may be no more than standard."""
    with queueing(fleet, tmp_path, tenants=TENANTS, admission={"queue": 20}) as place:
        with place.holding(who="usual"):
            waiting: list[Future[Heard]] = []
            for who, enough in (("idle", 17), ("usual", 19), ("urgent", 20)):
                waiting += [place.lining_up(named(who), who) for _ in range(enough - len(waiting))]
                assert place.ask(named(who), who).told == (503, "overloaded")
        assert {one.result().told for one in waiting} == {(200, "")}
