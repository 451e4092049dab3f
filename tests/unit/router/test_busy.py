"""Affinity of others is what an engine says beyond our own; who says nothing is not taken for idle."""

from __future__ import annotations

from random import Random

import pytest

from engines.api import Load
from router.api import NO_AFFINITY, Replica
from router.busy import UNKNOWN, listen, load, mean_load
from router.policies.least_loaded import LeastLoaded
from router.pool import Pool
from tests.support.choosing import SaysLoad, SaysNothing, charge, replicas


def saying(*loads: Load | None) -> list[Replica]:
    among = replicas(len(loads))
    for replica, said in zip(among, loads, strict=True):
        assert isinstance(replica.engine, SaysLoad)
        replica.engine.load = said
    return among


def test_a_load_is_tokens_per_weight() -> None:
    first, second = replicas(2, 0.5)
    charge(first, 100)
    first.others = 50.0
    charge(second, 100)
    assert (load(first), load(second)) == (300, 100)


def test_the_mean_is_hardly_moved_by_who_hardly_counts() -> None:
    among = replicas(3, 0.001)
    for replica in among:
        charge(replica, 1000)
    assert load(among[0]) == pytest.approx(1_000_000)
    assert mean_load(among) == pytest.approx(1500, rel=0.01)


@pytest.mark.parametrize(
    ("said", "others"),
    [
        (Load(running=2, waiting=0), 0),
        (Load(running=1, waiting=0), 0),
        (Load(running=3, waiting=2), 3 * 150),
        (Load(running=5), 3 * 150),
        (Load(waiting=5), 3 * 150),
    ],
)
def test_calls_beyond_our_own_are_as_large_as_ours(said: Load, others: float) -> None:
    among = saying(said)
    charge(among[0], 100)
    charge(among[0], 200)
    listen(among)
    assert among[0].others == others


def test_without_any_of_our_own_a_size_is_supposed() -> None:
    among = saying(Load(running=1, waiting=1))
    listen(among)
    assert among[0].others == 2 * UNKNOWN


def test_our_own_come_and_go_between_two_readings_without_being_taken_for_others() -> None:
    among = saying(Load(running=1, waiting=0))
    charge(among[0], 100)
    listen(among)
    among[0].active.clear()
    among[0].tokens = 0
    listen(among)
    assert among[0].others == 0
    assert isinstance(among[0].engine, SaysLoad)
    among[0].engine.load = Load(running=1, waiting=0)
    listen(among)
    assert among[0].others == UNKNOWN


@pytest.mark.parametrize("silence", [None, Load(), Load(kv_used=0.5)])
def test_who_says_nothing_is_as_busy_as_those_who_do(silence: Load | None) -> None:
    among = saying(Load(running=2, waiting=0), Load(running=4, waiting=0), silence)
    listen(among)
    assert among[2].others == 3 * UNKNOWN


def test_where_nobody_says_anything_nothing_is_supposed() -> None:
    among = saying(None, None)
    among[0].others = 7.0
    listen(among)
    assert [replica.others for replica in among] == [0, 0]


def test_engines_need_not_have_a_load_to_tell() -> None:
    among = [Replica("r", SaysNothing())]
    listen(among)
    assert among[0].others == 0


def test_a_pool_hears_its_engines_and_prefers_those_that_others_leave_alone() -> None:
    among = saying(Load(running=2, waiting=0), Load(running=0, waiting=0))
    pool = Pool("m", among, LeastLoaded(Random(1)), lambda: 0.0, Random(1))
    pool.refresh()
    assert {pool.pick(NO_AFFINITY) for _ in range(20)} == {among[1]}
