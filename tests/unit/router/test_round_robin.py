"""Each replica gets its turn, whatever happens to the requests."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from router.api import NO_AFFINITY
from router.policies.round_robin import RoundRobin
from tests.support.choosing import replicas, shares


def round_robin() -> RoundRobin:
    return RoundRobin(Random(1))


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_replicas_are_picked_in_turn(count: int) -> None:
    policy, all_of_them = round_robin(), replicas(count)
    assert [policy.pick(all_of_them, NO_AFFINITY) for _ in range(2 * count)] == 2 * all_of_them


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_replica_that_is_down_is_the_first_choice_no_more_often_than_the_others(count: int) -> None:
    policy, all_of_them = round_robin(), replicas(count)
    down = all_of_them[0]
    first, second = Counter[str](), Counter[str]()
    for _ in range(60 * (count - 1)):
        choice = policy.pick(all_of_them, NO_AFFINITY)
        first[choice.name] += 1
        if choice is down:
            second[policy.pick(all_of_them[1:], NO_AFFINITY).name] += 1
    assert len(set(first.values())) == 1
    assert len(first) == count
    assert len(second) == count - 1
    assert max(second.values()) - min(second.values()) <= 1


def test_p47_a_replica_of_little_weight_lets_turns_pass_and_the_others_share_them() -> None:
    weak, second, third = shares(round_robin(), replicas(3, 0.1), [NO_AFFINITY] * 6000)
    assert weak == pytest.approx(0.1 / 2.1, abs=0.015)
    assert second == pytest.approx(third, abs=0.015)


def test_somebody_has_to_do_it() -> None:
    assert sum(shares(round_robin(), replicas(3, 0.01, 0.01, 0.01), [NO_AFFINITY] * 300)) == pytest.approx(1.0)


def test_it_tells_how_far_it_is() -> None:
    policy = round_robin()
    policy.pick(replicas(2), NO_AFFINITY)
    assert repr(policy) == "<RoundRobin after 1 turns>"
