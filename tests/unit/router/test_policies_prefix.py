"""A prompt goes where its beginning lies, in bounded memory, and never where that would pile up."""

from __future__ import annotations

from collections import Counter
from random import Random

import pytest

from router.api import NO_AFFINITY, Affinity
from router.policies.prefix_affinity import BLOCK, LOOKED_AT, REMEMBERED, SLACK, PrefixAffinity
from tests.support.choosing import charge, replicas


def policy_() -> PrefixAffinity:
    return PrefixAffinity(Random(1))


def prompt(*blocks: str, tail: int = 0) -> Affinity:
    """Blocks of one repeated letter, and what does not fill one more."""
    return Affinity(prompt="".join(letter * BLOCK for letter in blocks).encode() + b"." * tail)


def test_a_conversation_stays_where_it_began() -> None:
    policy, among = policy_(), replicas(8)
    home = policy.pick(among, prompt("a", "b"))
    for turn in range(3, LOOKED_AT + 9):
        assert policy.pick(among, prompt("a", "b", *"c" * (turn - 2), tail=turn)) is home


def test_the_longest_beginning_that_is_alike_decides() -> None:
    policy, among = policy_(), replicas(2)
    long = policy.pick(among[:1] * 2, prompt("a", "b", "c", "d"))
    short = policy.pick(among[1:] * 2, prompt("a", "b", "x"))
    assert (long, short) == (among[0], among[1])
    assert policy.pick(among, prompt("a", "b", "c", "d", "e")) is long
    policy.pick(among[1:] * 2, prompt("a", "b", "x"))
    assert policy.pick(among, prompt("a", "b", "c", "y")) is long
    assert policy.pick(among, prompt("a", "b", "x", "y")) is short


@pytest.mark.parametrize(
    "asked",
    [
        prompt("a", "x"),
        prompt("x", "b"),
        prompt("x", "a", "b"),
        prompt("b", "a"),
        prompt("a", tail=BLOCK - 1),
        NO_AFFINITY,
    ],
    ids=["one block", "another beginning", "shifted", "another order", "not two whole blocks", "no prompt"],
)
def test_a_beginning_that_is_less_than_two_blocks_alike_goes_to_the_idlest(asked: Affinity) -> None:
    policy, among = policy_(), replicas(2)
    policy.pick(among[:1] * 2, prompt("a", "b"))
    charge(among[0], 1)
    assert policy.pick(among, asked) is among[1]


def test_a_hot_beginning_spreads_as_soon_as_its_replica_is_too_busy() -> None:
    policy, among = policy_(), replicas(4)
    hot = prompt("a", "b")
    home = policy.pick(among, hot)
    for other in among:
        charge(other, 8 * SLACK)
    charge(home, 8 * SLACK)
    assert policy.pick(among, hot) is home, "one and a half of the mean, and the slack"
    charge(home, 1)
    second = policy.pick(among, hot)
    assert second is not home
    assert policy.pick(among, hot) is second, "which has it now as well"


@pytest.mark.parametrize("count", [2, 3, 16])
def test_one_prompt_for_all_ends_up_on_all(count: int) -> None:
    policy, among = policy_(), replicas(count)
    hot = prompt("a", "b")
    for _ in range(200 * count):
        charge(policy.pick(among, hot), 100)
    tokens = [replica.tokens for replica in among]
    assert max(tokens) <= 2 * sum(tokens) / count + SLACK
    assert min(tokens) > 0


def test_a_replica_that_has_gone_is_not_returned_and_the_next_longest_beginning_counts() -> None:
    policy, among = policy_(), replicas(3)
    policy.pick(among[:1] * 2, prompt("a", "b"))
    policy.pick(among[1:2] * 2, prompt("a", "b", "c"))
    policy.pick(among[:1] * 2, prompt("a", "b"))
    charge(among[0], 1)
    assert policy.pick([among[0], among[2]], prompt("a", "b", "c")) is among[0]
    policy.pick(among[1:2] * 2, prompt("x", "y"))
    charge(among[0], 1)
    assert policy.pick([among[0], among[2]], prompt("x", "y")) is among[2]


def test_memory_is_bounded_and_what_many_share_is_forgotten_last() -> None:
    policy, among = policy_(), replicas(3)
    shared = "a" * BLOCK * 2
    for number in range(100_000):
        own = f"{number:08}" * (BLOCK // 8)
        policy.pick(among, Affinity(prompt=f"{shared}{own}".encode()))
    assert repr(policy) == f"<PrefixAffinity {REMEMBERED} blocks>"
    assert Counter(policy._owners.values()).total() == REMEMBERED
    home = policy.pick(among, prompt("a", "a"))
    charge(home, 1)
    assert policy.pick(among, prompt("a", "a")) is home


def test_of_one_prompt_its_end_is_forgotten_first() -> None:
    policy, among = policy_(), replicas(2)
    home = policy.pick(among[:1] * 2, prompt(*"abcd"))
    for number in range(REMEMBERED // LOOKED_AT):
        blocks = LOOKED_AT if number else LOOKED_AT - 2
        policy.pick(among[1:] * 2, Affinity(prompt=f"{number:08}".encode() * (blocks * BLOCK // 8)))
    charge(home, 1)
    assert policy.pick(among, prompt(*"ab")) is home


def test_beyond_the_blocks_looked_at_nothing_is_remembered() -> None:
    policy = policy_()
    policy.pick(replicas(2), prompt(*"a" * (LOOKED_AT + 5)))
    assert repr(policy) == f"<PrefixAffinity {LOOKED_AT} blocks>"
