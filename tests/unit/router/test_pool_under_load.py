"""P09, P47 over minutes of virtual time: one replica of three is a sinkhole, is grey, or is back and still cold."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from heapq import heappop, heappush
from itertools import count
from random import Random

import pytest

from engines.api import Failed, TimedOut
from router.api import NO_AFFINITY, Replica
from router.policies.least_loaded import LeastLoaded
from tests.support.pools import TICK, Sent, Stage

Ending = tuple[float, BaseException | None]
"""Seconds after which a call ends, and how."""
HEALTHY: Ending = (0.1, None)


def load(stage: Stage, requests: int, rate: float, ends: Callable[[Replica], Ending]) -> list[Replica]:
    """Open loop of `rate` requests a second, with a sweep at each tick. Who was asked, first attempts only."""
    order = count()
    endings: list[tuple[float, int, Sent, BaseException | None]] = []
    asked: list[Replica] = []
    swept = start = stage.now
    for number in range(requests):
        arrives = start + number / rate
        while (due := min(endings[0][0] if endings else arrives, swept + TICK)) < arrives:
            stage.now = due
            if due == swept + TICK:
                stage.pool.refresh()
                swept = due
            else:
                _, _, notes, error = heappop(endings)
                if error is None:
                    stage.answer(notes)
                stage.end(notes, error)
        stage.now = arrives
        notes = stage.send(stage.pool.pick(NO_AFFINITY))
        seconds, error = ends(notes.asked)
        heappush(endings, (arrives + seconds, next(order), notes, error))
        asked.append(notes.asked)
    return asked


@pytest.mark.parametrize(
    ("ending", "within"),
    [
        pytest.param((0.001, Failed("sinkhole")), 1.0, id="fails in 1 ms"),
        pytest.param((120.0, TimedOut("first_token", 120)), 3.0, id="never answers"),
    ],
)
def test_p09_one_faulty_replica_of_three_touches_one_request_in_a_hundred(ending: Ending, within: float) -> None:
    stage = Stage(3, LeastLoaded(Random(2)))
    faulty = stage.replicas[0]
    started = stage.now
    asked = load(stage, 10_000, 100.0, lambda replica: ending if replica is faulty else HEALTHY)
    first = stage.changes[0]
    assert (first.replica, first.after) == (faulty.name, "ejected")
    assert first.at - started <= within
    assert asked.count(faulty) <= 100
    assert {change.replica for change in stage.changes} == {faulty.name}


def test_p09_failing_half_of_the_time_is_found_out_too() -> None:
    stage = Stage(3, LeastLoaded(Random(2)))
    faulty = stage.replicas[0]
    turn = count()

    def ends(replica: Replica) -> Ending:
        return (0.001, Failed("flaky")) if replica is faulty and next(turn) % 2 else HEALTHY

    asked = load(stage, 10_000, 100.0, ends)
    assert stage.told(faulty)[0] == "ejected"
    assert asked.count(faulty) <= 0.25 * len(asked)


def test_p47_who_is_back_gets_more_and_more_and_does_not_trip_again() -> None:
    stage = Stage(3, LeastLoaded(Random(2)))
    back = stage.replicas[0]
    stage.eject(back, Failed("down"))
    stage.rest(12.1)
    stage.call()
    cold: Ending = (HEALTHY[0] / 0.3, None)
    shares = []
    for _ in range(3):
        asked = Counter(load(stage, 1000, 100.0, lambda replica: cold if replica is back else HEALTHY))
        shares.append(asked[back] / 1000)
    assert shares[0] < shares[1] < shares[2] < 1 / 3
    warm = Counter(load(stage, 1000, 100.0, lambda _: HEALTHY))
    assert warm[back] / 1000 == pytest.approx(1 / 3, abs=0.05)
    assert stage.told(back) == ["ejected", "probing", "slow_start", "closed"]
