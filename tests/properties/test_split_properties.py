"""Whatever the weights and the caller: a version that may be had, and the same unless its own weight says otherwise."""

from __future__ import annotations

from random import Random
from typing import get_args

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from router.api import Caller
from router.split import Rule, Split, Sticky

NAMES = st.sampled_from(["1", "2", "3", "v10", "blue", "green"])
WEIGHTS = st.floats(0, 1e308, allow_subnormal=False)
VERSIONS = st.dictionaries(NAMES, WEIGHTS, min_size=1).filter(lambda weights: any(weights.values()))
STICKY: st.SearchStrategy[Sticky] = st.sampled_from(get_args(Sticky))
NAMED = st.sampled_from(["", "a", "b"]) | st.text(st.characters(codec="utf-8"), max_size=5)
LABELS = st.sampled_from([b"", b"x", b"y"])
CALLERS = st.builds(
    Caller, NAMED, NAMED, st.binary(max_size=4), st.binary(max_size=4), st.dictionaries(LABELS, LABELS, max_size=2)
)
PLACES = st.frozensets(NAMED, max_size=2)


@given(st.data(), VERSIONS, STICKY, CALLERS, st.integers())
def test_a_caller_gets_a_version_that_may_be_had_and_says_why(
    data: st.DataObject, weights: dict[str, float], sticky: Sticky, caller: Caller, seed: int
) -> None:
    rule = st.builds(
        Rule, st.sampled_from(sorted(weights)), PLACES, PLACES, st.none() | st.tuples(LABELS, LABELS)
    )  # fmt: skip
    rules = data.draw(st.lists(rule, max_size=3))
    choice = Split("m", weights, sticky, rules).choose(caller, Random(seed))
    ruled = [at for at, each in enumerate(rules, 1) if holds(each, caller)]
    if ruled:
        assert (choice.version, choice.why) == (rules[ruled[0] - 1].version, f"rule {ruled[0]}")
    else:
        assert weights[choice.version] > 0
        assert choice.why == ("only" if sum(map(bool, weights.values())) == 1 else "weights")


def holds(rule: Rule, caller: Caller) -> bool:
    """As told, not as written."""
    asked = [
        *([caller.tenant in rule.tenants] if rule.tenants else []),
        *([caller.key in rule.keys] if rule.keys else []),
        *([rule.header in caller.headers.items()] if rule.header else []),
    ]
    return all(asked)


def is_known(sticky: Sticky, caller: Caller) -> bool:
    by_this = {"user": bool(caller.user), "session": bool(caller.session)}.get(sticky, False)
    return sticky != "none" and (bool(caller.key or caller.tenant) or by_this)


@given(VERSIONS, STICKY, CALLERS, st.integers(), st.integers())
def test_who_is_known_gets_the_same_whatever_chance_and_the_order_of_the_file(
    weights: dict[str, float], sticky: Sticky, caller: Caller, one: int, other: int
) -> None:
    assume(is_known(sticky, caller))
    turned = dict(reversed(weights.items()))
    first = Split("m", weights, sticky).choose(caller, Random(one))
    assert Split("m", turned, sticky).choose(caller, Random(other)) == first


@given(st.data(), VERSIONS, STICKY, CALLERS, WEIGHTS)
def test_raising_one_weight_moves_callers_only_to_that_version(
    data: st.DataObject, weights: dict[str, float], sticky: Sticky, caller: Caller, more: float
) -> None:
    assume(is_known(sticky, caller))
    raised = data.draw(st.sampled_from(sorted(weights)))
    before = Split("m", weights, sticky).choose(caller, Random(0)).version
    wider = {**weights, raised: max(weights[raised], more)}
    after = Split("m", wider, sticky).choose(caller, Random(0)).version
    assert after in {before, raised}


@given(st.dictionaries(NAMES, st.floats(max_value=0) | st.just(float("nan"))), st.lists(st.builds(Rule, NAMES)))
def test_what_splits_nothing_is_refused(weights: dict[str, float], rules: list[Rule]) -> None:
    with pytest.raises(ValueError, match="version"):
        Split("m", weights, "key", rules)


@given(VERSIONS, st.lists(st.builds(Rule, NAMES), min_size=1))
def test_rules_that_lead_nowhere_are_refused(weights: dict[str, float], rules: list[Rule]) -> None:
    assume(not {rule.version for rule in rules} <= weights.keys())
    with pytest.raises(ValueError, match=r"rule \d+: there is no version"):
        Split("m", weights, "key", rules)


@given(VERSIONS, NAMES, WEIGHTS, STICKY, CALLERS)
def test_a_version_that_comes_takes_callers_and_moves_no_others(
    weights: dict[str, float], new: str, weight: float, sticky: Sticky, caller: Caller
) -> None:
    assume(new not in weights and is_known(sticky, caller))
    before = Split("m", weights, sticky).choose(caller, Random(0)).version
    after = Split("m", {**weights, new: weight}, sticky).choose(caller, Random(0)).version
    assert after in {before, new}
