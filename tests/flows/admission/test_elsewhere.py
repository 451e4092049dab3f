"""Another replica, another model: who has had a place keeps one, and who gets none may be served by a smaller model."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from tests.support import plain
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import metric
from tests.support.queueing import Heard, Queueing, named, names, queueing, served
from tests.support.waiting import wait_until


def test_who_fails_over_does_not_queue_again(pair: SpawnedFleet, tmp_path: Path) -> None:
    """Its replica breaks down while others wait: they get what it leaves, it goes on where it would be one too many."""
    with queueing(pair, tmp_path, served(pair.urls)) as place:
        for replica in pair.replicas:
            replica.set(fault="reset_after")
        unlucky = place.asking(named("unlucky", "service_ms=2000"), x_client_request_id="unlucky")
        wait_until(place.asked)
        for replica in pair.replicas:
            replica.set(fault="")
        with place.holding():
            waiting = place.lining_up(named("waiting"))
            assert waiting.result().told == (200, "")
            heard = unlucky.result()
        assert heard.told == (200, "")
        record = place.record("unlucky")
        assert (record["attempts"], record["queue_ms"]) == (2, 0)
        assert sorted(names(place.asked())) == ["unlucky", "unlucky", "waiting"]
        assert [one.stats()["started"] for one in pair.replicas] == [2, 2]
        assert sorted(one.stats()["peak_running"] for one in pair.replicas) == [1, 2]


@contextmanager
def with_small(fleet: SpawnedFleet, folder: Path, when: list[str], **options: Any) -> Iterator[Queueing]:
    """`mock` with one place, and `small` on the same server, which may answer for it."""
    models = served(fleet.urls), served(fleet.urls, 8, name="small")
    routing = [{"model": "mock", "fallback": {"models": ["small"], "when": when}}]
    with queueing(fleet, folder, *models, routing=routing, **options) as place:
        yield place


def degraded(heard: Heard) -> tuple[int, str | None, str | None]:
    headers = heard.answer.headers
    return heard.answer.status, headers.get("x-model-version"), headers.get("x-gateway-degraded")


BY_SMALL = 200, "small@1", "model=small;reason=overload"


@pytest.mark.parametrize("stream", [False, True], ids=["unary", "stream"])
def test_who_finds_the_queue_full_is_served_by_another_model(fleet: SpawnedFleet, stream: bool, tmp_path: Path) -> None:
    """At once, and by way of the gate, which is open for who may ask that model, too."""
    with with_small(fleet, tmp_path, ["overload"], admission={"queue": 1}) as place:
        with place.holding():
            waiting = place.lining_up(named("waiting"))
            heard = place.ask(named("next", stream=stream))
            assert degraded(heard) == BY_SMALL
        assert degraded(waiting.result()) == (200, "mock@1", None)
        wait_until(
            lambda: metric(
                plain.get(f"{place.gateway.ops_url}/metrics").text, "snowshed_fallbacks_total", reason="overload"
            ),
            lambda count: count == 1,
        )


def test_who_has_waited_in_vain_is_served_by_another_model(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with with_small(fleet, tmp_path, ["overload"], admission={"start_within": {"standard": "300ms"}}) as place:
        with place.holding():
            heard = place.ask(named("patient"), x_client_request_id="patient")
        assert degraded(heard) == BY_SMALL
        assert 0.25 <= heard.seconds < 5
        assert place.record("patient")["queue_ms"] >= 250


def test_where_overload_is_no_reason_the_refusal_is_told(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with with_small(fleet, tmp_path, ["outage"], admission={"queue": 0}) as place, place.holding():
        heard = place.ask(named("next"))
        assert heard.told == (503, "overloaded")
        assert place.asked() == []


def test_where_the_other_model_is_as_busy_the_refusal_is_told(fleet: SpawnedFleet, tmp_path: Path) -> None:
    models = served(fleet.urls), served(fleet.urls, name="small")
    routing = [{"model": "mock", "fallback": {"models": ["small"]}}]
    with queueing(fleet, tmp_path, *models, routing=routing, admission={"queue": 1}) as place:
        (small,) = place.admission("small").pool.replicas
        with place.holding():
            kept = place.asking(named("kept", "service_ms=3000", model="small"))
            place.gateway.wait_until(lambda: small.in_flight == 1)
            waiting = place.lining_up(named("waiting"))
            elsewhere = place.asking(named("elsewhere", model="small"))
            place.wait_for_queue(1, "small")
            assert place.ask(named("refused")).told == (503, "overloaded")
        assert [one.result().told for one in (kept, waiting, elsewhere)] == [(200, "")] * 3
        assert "refused" not in names(place.asked())


QUIET = {"comment_grace": 0.2, "comment_every": 0.2}


def test_a_stream_that_waits_is_kept_alive_until_its_turn(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, timeouts=QUIET) as place:
        with place.holding():
            waiting = place.lining_up(named("waiting", "tokens=3", stream=True))
            place.gateway.wait_until(
                lambda: any("started" in repr(one) for one in place.gateway.objects.edge.traffic.live)
            )
        answer = waiting.result().answer
        assert (answer.status, answer.done, answer.error) == (200, True, None)
        assert answer.comments >= 1


def test_a_stream_that_has_waited_in_vain_is_told_so_in_an_event(fleet: SpawnedFleet, tmp_path: Path) -> None:
    within = {"start_within": {"standard": "1s"}}
    with queueing(fleet, tmp_path, timeouts=QUIET, admission=within) as place, place.holding():
        heard = place.ask(named("waiting", stream=True), x_client_request_id="waiting")
        assert heard.told == (200, "overloaded")
        assert heard.answer.comments >= 1
        assert not heard.answer.done
        assert 1.0 <= heard.seconds < 10
        record = place.record("waiting")
        assert (record["status"], record["code"], record["outcome"]) == (200, "overloaded", "failed")
        assert place.asked() == []
