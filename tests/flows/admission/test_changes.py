"""What changes while requests wait: limits, replicas, versions, and the gateway's own end. Nobody is forgotten."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from loadtests.prove.answers import Answer
from tests.support import plain
from tests.support.asking import ask, request_bytes
from tests.support.fleet import SpawnedFleet
from tests.support.gateway import SpawnedGateway, configuration, metric, spawned_gateway
from tests.support.queueing import HOLDER, LONG, Queueing, named, names, patient, queueing, served
from tests.support.raw import RawClient
from tests.support.waiting import PATIENCE, wait_until


@pytest.fixture
def place(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[Queueing]:
    with queueing(fleet, tmp_path) as made:
        yield made


def reload(place: Queueing, *models: dict[str, Any], **sections: Any) -> None:
    place.stand.reload({**place.tree, "models": list(models), **sections})


def test_limits_that_are_raised_let_those_in_who_wait(place: Queueing) -> None:
    with place.holding():
        waiting = [place.lining_up(named(f"n{number}")) for number in range(2)]
        reload(place, served(place.fleet.urls, 2))
        assert [one.result().told for one in waiting] == [(200, "")] * 2
    assert place.upstream.stats()["peak_running"] == 2


def test_limits_that_are_lowered_hold_once_there_is_less(fleet: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(fleet, tmp_path, served(fleet.urls, 2)) as place, place.holding(2) as (one, other):
        waiting = place.lining_up(named("waiting"))
        reload(place, served(fleet.urls, 1))
        one.socket.close()
        wait_until(lambda: place.in_flight == 1)
        assert place.waiting() == 1
        other.socket.close()
        assert waiting.result().told == (200, "")


def test_who_waits_keeps_the_time_that_was_theirs_when_they_came(place: Queueing) -> None:
    with place.holding():
        waiting = place.lining_up(named("waiting"))
        reload(place, served(place.fleet.urls, start_within={"standard": "200ms"}))
        assert place.ask(named("next")).told == (503, "overloaded")
        assert place.waiting() == 1
    assert waiting.result().told == (200, "")


def test_a_queue_that_is_made_shorter_keeps_those_who_wait(place: Queueing) -> None:
    with place.holding():
        waiting = [place.lining_up(named("waiting")) for _ in range(3)]
        reload(place, *place.tree["models"], admission={**place.tree["admission"], "queue": 1})
        assert place.ask(named("next")).told == (503, "overloaded")
    assert [one.result().told for one in waiting] == [(200, "")] * 3


def test_a_replica_that_is_added_takes_those_who_wait(pair: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(pair, tmp_path, served(pair.urls[:1])) as place, place.holding():
        waiting = place.lining_up(named("waiting"))
        reload(place, served(pair.urls))
        assert waiting.result().told == (200, "")
        assert names(pair.replicas[1].calls()) == ["waiting"]


def test_a_version_that_is_removed_has_no_place_for_those_who_wait(place: Queueing) -> None:
    with place.holding() as (holder,):
        waiting = [place.lining_up(named("waiting")) for _ in range(3)]
        reload(place, {"name": "another", "engine": "scripted"})
        assert [one.result().told for one in waiting] == [(503, "no_replica")] * 3
        assert int(waiting[0].result().answer.headers["retry-after"]) >= 1
        reload(place, *place.tree["models"])
        holder.socket.close()
    assert place.asked() == []


def test_of_two_replicas_one_is_taken_out_and_those_who_wait_get_the_other(pair: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(pair, tmp_path, served(pair.urls, policy="round_robin")) as place, place.holding(2) as holders:
        waiting = [place.lining_up(named("waiting")) for _ in range(2)]
        pool = place.admission().pool
        out, _ = place.replicas
        place.gateway.run(lambda: pool.eject(out, None))
        for holder in holders:
            holder.socket.close()
        assert [one.result().told for one in waiting] == [(200, "")] * 2
        kept = sum(names([call]) != [HOLDER] for call in pair.replicas[0].calls())
        assert kept == 0
        place.gateway.run(lambda: pool.restore(out))


@pytest.mark.parametrize("way", ["ejected", "drained"])
def test_without_a_replica_left_nobody_waits_for_one(place: Queueing, way: str) -> None:
    (replica,), pool = place.replicas, place.admission().pool
    upstreams = place.gateway.objects.upstreams
    with place.holding():
        waiting = place.lining_up(named("waiting"))
        place.gateway.run(lambda: pool.eject(replica, None) if way == "ejected" else upstreams.drain(replica.name))
        assert waiting.result().told == (503, "no_replica")
        place.gateway.run(lambda: pool.restore(replica) if way == "ejected" else upstreams.undrain(replica.name))
        again = place.lining_up(named("again"))
    assert again.result().told == (200, "")


def test_those_who_wait_are_served_though_one_of_the_replicas_breaks_down(pair: SpawnedFleet, tmp_path: Path) -> None:
    with queueing(pair, tmp_path) as place:
        with place.holding(2):
            waiting = [place.lining_up(named(f"n{number}")) for number in range(12)]
            pair.replicas[0].set(fault="status", status=500)
        assert [one.result().told for one in waiting] == [(200, "")] * 12
        assert pair.replicas[0].stats()["started"] < 1 + 12


def spawned(fleet: SpawnedFleet, folder: Path, **server: float) -> Iterator[SpawnedGateway]:
    fleet.replicas[0].reset()
    admission = {"tenant_share": 1, "start_within": patient()}
    tree = configuration(models=[served(fleet.urls)], admission=admission, server=server)
    with spawned_gateway(tree, folder) as gateway:
        yield gateway


@pytest.fixture
def lasting(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[SpawnedGateway]:
    yield from spawned(fleet, tmp_path, drain_delay=0, drain_cap=60)


@pytest.fixture
def hasty(fleet: SpawnedFleet, tmp_path: Path) -> Iterator[SpawnedGateway]:
    yield from spawned(fleet, tmp_path, drain_delay=0, drain_cap=0.3)


def one_more(gateway: SpawnedGateway, name: str) -> Answer:
    with plain.client(base_url=gateway.url, timeout=PATIENCE) as client:
        return ask(client, named(name))


def wait_for_depth(gateway: SpawnedGateway, depth: int) -> None:
    wait_until(lambda: metric(plain.get(f"{gateway.ops_url}/metrics").text, "snowshed_queue_depth") == depth)


def test_p11_those_who_wait_when_it_is_told_to_stop_are_still_served(
    lasting: SpawnedGateway, fleet: SpawnedFleet
) -> None:
    with RawClient(lasting.url) as holder, ThreadPoolExecutor(3) as threads:
        holder.socket.sendall(request_bytes(named(HOLDER, LONG)))
        fleet.replicas[0].wait_for(lambda calls: len(calls) == 1)
        waiting = [threads.submit(one_more, lasting, "waiting") for _ in range(3)]
        wait_for_depth(lasting, 3)
        lasting.terminate()
        wait_until(lambda: plain.get(f"{lasting.ops_url}/readyz").status_code == 503)
        holder.socket.close()
        assert [one.result(PATIENCE).status for one in waiting] == [200] * 3
    assert lasting.wait(PATIENCE) == 0


def test_p11_those_who_still_wait_when_time_is_up_are_told_to_ask_another(
    hasty: SpawnedGateway, fleet: SpawnedFleet
) -> None:
    with RawClient(hasty.url) as holder, ThreadPoolExecutor(3) as threads:
        holder.socket.sendall(request_bytes(named(HOLDER, LONG)))
        fleet.replicas[0].wait_for(lambda calls: len(calls) == 1)
        waiting = [threads.submit(one_more, hasty, "waiting") for _ in range(3)]
        wait_for_depth(hasty, 3)
        hasty.terminate()
        answers = [one.result(PATIENCE) for one in waiting]
        assert [(answer.status, answer.document["error"]["code"]) for answer in answers] == [(503, "draining")] * 3
        assert {answer.headers["retry-after"] for answer in answers} == {"1"}
    assert hasty.wait(PATIENCE) == 0
    calls = fleet.replicas[0].wait_for(lambda calls: all(call.end for call in calls))
    assert names(calls) == [HOLDER]
