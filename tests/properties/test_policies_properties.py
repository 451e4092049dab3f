"""Whatever stands to be chosen from and whatever was chosen before, each policy's choice is one that may be made."""

from __future__ import annotations

from collections.abc import Sequence
from random import Random

from hypothesis import given, settings
from hypothesis import strategies as st

from engines.api import Load
from router.api import Affinity, Replica
from router.busy import listen, load, mean_load
from router.policies import POLICIES
from router.policies.least_loaded import ALL
from router.policies.prefix_affinity import BLOCK, LOOKED_AT, REMEMBERED, WORTH, PrefixAffinity
from router.policies.prefix_affinity import SLACK as PREFIX_SLACK
from router.policies.prefix_affinity import TOLERATED as PREFIX_TOLERATED
from router.policies.session_affinity import SLACK as SESSION_SLACK
from router.policies.session_affinity import TOLERATED as SESSION_TOLERATED
from router.policies.session_affinity import SessionAffinity
from tests.support.choosing import SaysLoad, charge, replicas

counts = st.none() | st.integers(0, 200)
charges = st.integers(1, 10_000)
loads = st.none() | st.builds(Load, counts, counts, st.none() | st.floats(0, 1))
affinities = st.builds(
    Affinity,
    session=st.sampled_from([b"", b"one", b"two"]),
    prompt=st.lists(st.sampled_from("ab"), max_size=5).map(lambda letters: "".join(letters).encode() * BLOCK),
)


@st.composite
def standings(draw: st.DrawFn) -> list[Replica]:
    """Replicas of all weights, busy with anything, whose engines say anything."""
    among = []
    for number in range(draw(st.integers(1, 2 * ALL))):
        engine = SaysLoad()
        engine.load = draw(loads)
        replica = Replica(f"r{number}", engine)
        replica.weight = draw(st.just(1.0) | st.floats(1e-6, 1.0))
        for tokens in draw(st.lists(st.integers(1, 10_000), max_size=3)):
            charge(replica, tokens)
        among.append(replica)
    listen(among)
    return among


@given(
    st.sampled_from(sorted(POLICIES)),
    standings(),
    st.lists(st.tuples(affinities, st.sets(st.integers(0, 2 * ALL)), charges), min_size=1, max_size=8),
    st.integers(),
)
def test_a_choice_is_one_of_those_that_may_be_asked(
    name: str, among: list[Replica], asking: list[tuple[Affinity, set[int], int]], seed: int
) -> None:
    policy = POLICIES[name](Random(seed))
    for affinity, gone, tokens in asking:
        left = [replica for at, replica in enumerate(among) if at not in gone] or among[:1]
        before = [(replica.tokens, replica.others, replica.weight) for replica in left]
        replica = policy.pick(left, affinity)
        assert replica in left
        assert before == [(each.tokens, each.others, each.weight) for each in left], "choosing charges nothing"
        charge(replica, tokens)


@given(st.sampled_from(sorted(POLICIES)), standings(), st.lists(affinities, min_size=1, max_size=8), st.integers())
def test_the_same_randomness_makes_the_same_choices(
    name: str, among: list[Replica], asking: list[Affinity], seed: int
) -> None:
    first, second = POLICIES[name](Random(seed)), POLICIES[name](Random(seed))
    assert [first.pick(among, affinity) for affinity in asking] == [second.pick(among, affinity) for affinity in asking]


@given(standings(), affinities, st.integers())
def test_of_a_few_whole_replicas_none_is_less_loaded_than_the_choice(
    among: list[Replica], affinity: Affinity, seed: int
) -> None:
    few = among[:ALL]
    for replica in few:
        replica.weight = 1.0
    assert load(POLICIES["least_loaded"](Random(seed)).pick(few, affinity)) == min(map(load, few))


@given(standings(), st.sampled_from([b"one", b"two"]), st.integers())
def test_a_session_is_at_its_home_or_its_home_is_too_busy(among: list[Replica], session: bytes, seed: int) -> None:
    affinity = Affinity(session)
    home = SessionAffinity(Random(seed)).pick(_idle(among), affinity).name
    replica = SessionAffinity(Random(seed)).pick(among, affinity)
    assert replica.name == home or _too_busy(_named(among, home), among, SESSION_TOLERATED, SESSION_SLACK)


@given(standings(), affinities, affinities, charges, st.integers())
def test_a_prompt_goes_back_to_where_it_was_or_that_is_too_busy(
    among: list[Replica], asked: Affinity, other: Affinity, tokens: int, seed: int
) -> None:
    policy = PrefixAffinity(Random(seed))
    asked.prompt += b"a" * 2 * BLOCK
    home = policy.pick(among, asked)
    if len(among) == 1:
        return
    shares_all = other.prompt.startswith(asked.prompt[:BLOCK])
    if not shares_all:
        policy.pick(among, other)
    charge(home, tokens)
    again = policy.pick(among, asked)
    assert again is home or _too_busy(home, among, PREFIX_TOLERATED, PREFIX_SLACK)
    assert len(policy._owners) <= REMEMBERED


@given(
    st.lists(
        st.tuples(st.lists(st.sampled_from("ab"), min_size=1, max_size=5), st.sets(st.integers(0, 3), max_size=2)),
        min_size=1,
        max_size=12,
    ),
    st.integers(),
)
def test_a_prompt_goes_to_who_had_the_longest_beginning_last(
    asking: list[tuple[list[str], set[int]]], seed: int
) -> None:
    policy, among = PrefixAffinity(Random(seed)), replicas(4)
    had: dict[tuple[str, ...], Replica] = {}
    for blocks, gone in asking:
        left = [replica for at, replica in enumerate(among) if at not in gone]
        replica = policy.pick(left, Affinity(prompt="".join(letter * BLOCK for letter in blocks).encode()))
        beginnings = [tuple(blocks[:length]) for length in range(1, len(blocks) + 1)]
        if len(blocks) < WORTH:
            continue
        known = [had[beginning] for beginning in beginnings[WORTH - 1 :] if had.get(beginning) in left]
        assert not known or replica is known[-1]
        had.update(dict.fromkeys(beginnings, replica))


@settings(max_examples=5)
@given(
    st.integers(REMEMBERED // LOOKED_AT, REMEMBERED // LOOKED_AT + 100), st.sampled_from([LOOKED_AT, 1]), st.integers()
)
def test_however_many_prompts_come_memory_is_bounded(prompts: int, own: int, seed: int) -> None:
    policy, among = PrefixAffinity(Random(seed)), replicas(3)
    for number in range(prompts):
        shared = b"." * (LOOKED_AT - own) * BLOCK
        policy.pick(among, Affinity(prompt=shared + b"%08d" % number * (own * BLOCK // 8)))
    blocks = min(REMEMBERED, prompts * own + LOOKED_AT - own)
    assert repr(policy) == f"<PrefixAffinity {blocks} blocks>"


@given(standings(), st.integers())
def test_where_hardly_anybody_may_have_work_somebody_gets_it(among: list[Replica], seed: int) -> None:
    for replica in among:
        replica.weight = 1e-9
    for policy in POLICIES.values():
        assert policy(Random(seed)).pick(among, Affinity(b"one")) in among


@given(standings())
def test_what_is_said_of_others_is_never_less_than_nothing_and_said_once(among: list[Replica]) -> None:
    once = [replica.others for replica in among]
    for replica in among:
        replica.active.clear()
    listen(among)
    assert [replica.others for replica in among] == once
    assert all(replica.others >= 0 for replica in among)
    silent = [each for each in among if each.heard is None]
    told = [each.others for each in among if each.heard is not None]
    assert len({each.others for each in silent}) <= 1, "all who say nothing are supposed to be as busy"
    if silent and told:
        assert min(told) - 1e-6 <= silent[0].others <= max(told) + 1e-6


def _too_busy(replica: Replica, among: Sequence[Replica], tolerated: float, slack: int) -> bool:
    return load(replica) > tolerated * mean_load(among) + slack


def _idle(among: Sequence[Replica]) -> list[Replica]:
    """The same names and weights, with nothing to do."""
    idle = [Replica(replica.name, replica.engine) for replica in among]
    for replica, like in zip(idle, among, strict=True):
        replica.weight = like.weight
    return idle


def _named(among: Sequence[Replica], name: str) -> Replica:
    return next(replica for replica in among if replica.name == name)
