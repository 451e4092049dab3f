"""Affinity goes where there is least of it: no herd, no favourite, and no more than a weight allows."""

from __future__ import annotations

from collections import Counter, deque
from random import Random

import pytest

from engines.api import Load
from router.api import NO_AFFINITY, Replica
from router.busy import listen
from router.policies.least_loaded import ALL, LeastLoaded
from tests.support.choosing import SaysLoad, charge, replicas, shares

TOKENS = 100


def least_loaded() -> LeastLoaded:
    return LeastLoaded(Random(1))


@pytest.mark.parametrize("count", [1, 2, ALL])
def test_the_idlest_of_a_few_is_picked(count: int) -> None:
    among = replicas(count)
    for at, replica in enumerate(among):
        charge(replica, 1000 - 100 * at)
    assert {least_loaded().pick(among, NO_AFFINITY) for _ in range(50)} == {among[-1]}


def test_of_many_the_better_of_two() -> None:
    among = replicas(2 * ALL)
    for at, replica in enumerate(among):
        charge(replica, 100 * at)
    part = shares(least_loaded(), among, [NO_AFFINITY] * 8000)
    assert part[-1] == 0, "the busiest loses against whichever other"
    assert part[0] == pytest.approx(2 / len(among), abs=0.03), "the idlest wins whenever it is one of the two"


@pytest.mark.parametrize("count", [2, 3, ALL, 2 * ALL])
def test_equals_are_drawn_for(count: int) -> None:
    for part in shares(least_loaded(), replicas(count), [NO_AFFINITY] * 6000):
        assert part == pytest.approx(1 / count, abs=0.03)


@pytest.mark.parametrize("count", [2, 3, 5, 16])
def test_own_work_counts_at_once_so_that_there_is_no_herd(count: int) -> None:
    policy, among = least_loaded(), replicas(count)
    for _ in range(50 * count):
        charge(policy.pick(among, NO_AFFINITY), TOKENS)
    assert max(replica.tokens for replica in among) <= 2 * min(replica.tokens for replica in among)


@pytest.mark.parametrize("count", [2, 3, 8, 16])
def test_p47_of_idle_replicas_one_of_little_weight_gets_its_share_at_most_and_half_of_it_at_least(count: int) -> None:
    weak, *_ = shares(least_loaded(), replicas(count, 0.1), [NO_AFFINITY] * 20_000)
    share = 0.1 / (count - 0.9)
    assert 0.45 * share <= weak <= 1.2 * share


@pytest.mark.parametrize("count", [2, 3, 8])
def test_p47_under_load_a_replica_gets_its_weight(count: int) -> None:
    policy, among, under_way = least_loaded(), replicas(count, 0.1), deque[Replica]()
    got = Counter[Replica]()
    for _ in range(8000):
        replica = policy.pick(among, NO_AFFINITY)
        got[replica] += 1
        replica.tokens += TOKENS
        under_way.append(replica)
        if len(under_way) > 40 * count:
            under_way.popleft().tokens -= TOKENS
    assert got[among[0]] / got.total() == pytest.approx(0.1 / (count - 0.9), rel=0.4)


def test_p09_one_that_fails_at_once_draws_no_more_than_its_weight() -> None:
    among = replicas(3, 0.1)
    for busy in among[1:]:
        charge(busy, 10_000)
    sinkhole, *_ = shares(least_loaded(), among, [NO_AFFINITY] * 4000)
    assert sinkhole == pytest.approx(0.1, abs=0.02)


def test_where_all_have_little_weight_somebody_has_to_do_it() -> None:
    among = replicas(3, 0.001, 0.001, 0.001)
    charge(among[0], 100)
    first, second, third = shares(least_loaded(), among, [NO_AFFINITY] * 2000)
    assert first < 0.01
    assert second == pytest.approx(third, abs=0.1)


def test_what_the_engine_says_of_others_counts() -> None:
    among = replicas(2)
    charge(among[1], 100)
    assert isinstance(among[0].engine, SaysLoad)
    assert isinstance(among[1].engine, SaysLoad)
    among[0].engine.load, among[1].engine.load = Load(running=5, waiting=0), Load(running=1, waiting=0)
    listen(among)
    assert {least_loaded().pick(among, NO_AFFINITY) for _ in range(20)} == {among[1]}


def test_it_names_itself() -> None:
    assert repr(least_loaded()) == "<LeastLoaded>"
