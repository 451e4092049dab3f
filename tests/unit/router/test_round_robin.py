"""Each replica gets its turn, whatever happens to the requests."""

from __future__ import annotations

from collections import Counter

import pytest

from engines.api import Surroundings, Timers
from engines.scripted import ScriptedEngine, ScriptedOptions
from engines.sweeper import Sweeper
from router.api import Replica
from router.policies.round_robin import RoundRobin


def replicas(count: int) -> list[Replica]:
    engine = ScriptedEngine(ScriptedOptions(), Surroundings(Sweeper(), Timers()))
    return [Replica(f"r{number}", engine) for number in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 5])
def test_replicas_are_picked_in_turn(count: int) -> None:
    policy, all_of_them = RoundRobin(), replicas(count)
    assert [policy.pick(all_of_them) for _ in range(2 * count)] == 2 * all_of_them


@pytest.mark.parametrize("count", [2, 3, 5])
def test_a_replica_that_is_down_is_the_first_choice_no_more_often_than_the_others(count: int) -> None:
    policy, all_of_them = RoundRobin(), replicas(count)
    down = all_of_them[0]
    first, second = Counter[str](), Counter[str]()
    for _ in range(60 * (count - 1)):
        choice = policy.pick(all_of_them)
        first[choice.name] += 1
        if choice is down:
            second[policy.pick(all_of_them[1:]).name] += 1
    assert len(set(first.values())) == 1
    assert len(first) == count
    assert len(second) == count - 1
    assert max(second.values()) - min(second.values()) <= 1
