"""A session keeps its replica through everything but that replica's leaving, its weight and its being too busy."""

from __future__ import annotations

from random import Random

import pytest

from router.api import NO_AFFINITY, Affinity
from router.policies.session_affinity import SLACK, SessionAffinity
from tests.support.choosing import charge, replicas, shares

SESSIONS = [Affinity(session=b"session %d" % number) for number in range(4000)]


def session_affinity(seed: int = 1) -> SessionAffinity:
    return SessionAffinity(Random(seed))


def test_a_session_keeps_its_replica_in_every_process() -> None:
    among = replicas(5)
    first, second = session_affinity(), session_affinity(2)
    homes = [first.pick(among, affinity) for affinity in SESSIONS]
    assert [second.pick(among[::-1], affinity) for affinity in SESSIONS] == homes


def test_which_one_it_is_does_not_depend_on_the_version_of_the_code() -> None:
    homes = [session_affinity().pick(replicas(3), affinity).name for affinity in SESSIONS[:8]]
    assert homes == ["r2", "r0", "r2", "r0", "r0", "r2", "r2", "r0"]


@pytest.mark.parametrize("count", [2, 3, 16])
def test_sessions_spread_evenly(count: int) -> None:
    for part in shares(session_affinity(), replicas(count), SESSIONS):
        assert part == pytest.approx(1 / count, abs=0.03)


def test_a_replica_that_leaves_moves_its_own_sessions_only_and_to_all_others() -> None:
    policy, among = session_affinity(), replicas(5)
    homes = [policy.pick(among, affinity) for affinity in SESSIONS]
    after = [policy.pick(among[1:], affinity) for affinity in SESSIONS]
    moved = [new for old, new in zip(homes, after, strict=True) if new is not old]
    assert len(moved) == homes.count(among[0])
    for other in among[1:]:
        assert moved.count(other) / len(moved) == pytest.approx(1 / 4, abs=0.06)


def test_p47_weight_takes_sessions_away_and_gives_them_back() -> None:
    policy, among = session_affinity(), replicas(3)
    homes = [policy.pick(among, affinity) for affinity in SESSIONS]
    among[0].weight = 0.1
    after = [policy.pick(among, affinity) for affinity in SESSIONS]
    assert after.count(among[0]) / len(after) == pytest.approx(0.1 / 2.1, abs=0.015)
    assert all(old is among[0] for old, new in zip(homes, after, strict=True) if new is not old)
    among[0].weight = 1.0
    assert [policy.pick(among, affinity) for affinity in SESSIONS] == homes


def test_a_replica_that_is_too_busy_loses_a_session_for_the_time_being() -> None:
    policy, among, affinity = session_affinity(), replicas(4), SESSIONS[0]
    home = policy.pick(among, affinity)
    charge(home, 2 * SLACK)
    assert policy.pick(among, affinity) is home, "twice the mean, and the slack"
    charge(home, 1)
    assert policy.pick(among, affinity) is not home
    for other in among:
        if other is not home:
            charge(other, SLACK)
    assert policy.pick(among, affinity) is home


def test_without_a_session_the_idlest_is_picked() -> None:
    among = replicas(3)
    for busy in among[:2]:
        charge(busy, 100)
    assert {session_affinity().pick(among, NO_AFFINITY) for _ in range(20)} == {among[2]}


def test_it_tells_whom_it_knows() -> None:
    policy = session_affinity()
    policy.pick(replicas(3), SESSIONS[0])
    assert repr(policy) == "<SessionAffinity of 3 replicas>"
