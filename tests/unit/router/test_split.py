"""A caller's version: as often as the weights say, always the same one, and by rule where one matches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import replace
from random import Random

import pytest

from router.api import Caller, Choice
from router.split import Rule, Split, Sticky

KEYS = [f"k_{number:05}" for number in range(10_000)]
RANDOM = Random(7)


def canary(share: float, sticky: Sticky = "key", **members: list[Rule]) -> Split:
    return Split("chat", {"1": 100 - share, "2": share}, sticky, **members)


def versions(split: Split, keys: list[str] = KEYS) -> dict[str, str]:
    return {key: split.choose(Caller(key=key, tenant="t"), RANDOM).version for key in keys}


def test_p35_five_per_cent_of_ten_thousand_keys_are_five_per_cent() -> None:
    assert 430 <= Counter(versions(canary(5)).values())["2"] <= 570


@pytest.mark.parametrize("weights", [{"1": 80, "2": 20}, {"1": 95, "2": 20}], ids=["out-of-100", "raised-alone"])
def test_p35_widening_from_five_to_twenty_moves_only_new_keys(weights: Mapping[str, float]) -> None:
    before, after = versions(canary(5)), versions(Split("chat", weights, "key"))
    moved = {(before[key], after[key]) for key in KEYS if before[key] != after[key]}
    assert moved == {("1", "2")}
    share = weights["2"] / sum(weights.values())
    assert Counter(after.values())["2"] / len(KEYS) == pytest.approx(share, abs=0.015)


def test_p35_a_caller_keeps_its_version_over_a_hundred_calls() -> None:
    split = canary(50)
    for key in KEYS[:100]:
        assert len({split.choose(Caller(key=key), RANDOM).version for _ in range(100)}) == 1


@pytest.mark.parametrize("seed", ["0", "1234"])
def test_p35_another_process_says_the_same(pytestconfig: pytest.Config, seed: str) -> None:
    program = (
        "import json; from random import Random; from router.api import Caller; from router.split import Split; "
        "split = Split('chat', {'2': 50, '1': 50}, 'key'); "
        "print(json.dumps([split.choose(Caller(key=f'k_{n:05}'), Random()).version for n in range(200)]))"
    )
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command, folder = [sys.executable, "-c", program], pytestconfig.rootpath
    said = subprocess.run(command, cwd=folder, env=environment, capture_output=True, check=True)
    assert json.loads(said.stdout) == list(versions(canary(50), KEYS[:200]).values())


def test_p35_a_restart_with_a_new_release_says_the_same() -> None:
    """What callers got before they must get after: another hash or another order would move them."""
    assert "".join(versions(canary(50), KEYS[:32]).values()) == "12111222212121111212222121122112"


def test_models_and_versions_are_split_each_in_its_own_way() -> None:
    one, other = (versions(Split(model, {"1": 50, "2": 50}, "key")) for model in ("chat", "code"))
    assert 4_000 < sum(one[key] == other[key] for key in KEYS) < 6_000
    joined, parted = (
        versions(Split(model, {version: 1, "x": 1}, "key")) for model, version in (("ab", "c"), ("a", "bc"))
    )
    assert {key for key in KEYS if joined[key] == "x"} != {key for key in KEYS if parted[key] == "x"}


WHOLE = Caller(key="k", tenant="t", user=b'"u"', session=b"s")


OTHERS = [Caller(f"k{at}", f"t{at}", b"u%d" % at, b"s%d" % at) for at in range(100)]


@pytest.mark.parametrize("sticky", ["key", "tenant", "user", "session"])
def test_a_caller_stays_by_what_it_is_told_to_stay_by(sticky: Sticky) -> None:
    split, name = Split("chat", dict.fromkeys("abcdefgh", 1), sticky), getattr(WHOLE, sticky)
    for other in OTHERS:
        assert split.choose(replace(other, **{sticky: name}), RANDOM) == split.choose(WHOLE, RANDOM)
    changed = [replace(WHOLE, **{sticky: getattr(other, sticky)}) for other in OTHERS]
    assert len({split.choose(each, RANDOM).version for each in changed}) == 8


@pytest.mark.parametrize("sticky", ["user", "session"])
def test_without_that_it_stays_by_its_key_and_without_a_key_by_its_tenant(sticky: Sticky) -> None:
    by_key, by_tenant = (Split("chat", dict.fromkeys("abcdefgh", 1), kind) for kind in ("key", "tenant"))
    split = Split("chat", dict.fromkeys("abcdefgh", 1), sticky)
    for number in range(50):
        keyed, keyless = Caller(key=f"k{number}", tenant="t"), Caller(tenant=f"t{number}")
        assert split.choose(keyed, RANDOM) == by_key.choose(keyed, RANDOM)
        assert split.choose(keyless, RANDOM) == by_tenant.choose(keyless, RANDOM)


@pytest.mark.parametrize(("sticky", "caller"), [("key", Caller()), ("none", WHOLE)])
def test_who_has_nothing_to_stay_by_gets_any_by_weight(sticky: Sticky, caller: Caller) -> None:
    split, random = canary(20, sticky), Random(3)
    got = Counter(split.choose(caller, random).version for _ in range(10_000))
    assert 1_850 <= got["2"] <= 2_150


def test_weight_zero_gets_nobody_and_one_that_is_left_is_the_only_one() -> None:
    assert set(versions(Split("chat", {"1": 1, "2": 0, "3": 1}, "key")).values()) == {"1", "3"}
    assert Split("chat", {"1": 0, "2": 0.1}, "key").choose(WHOLE, RANDOM) == Choice("2", "only")
    assert canary(5).choose(WHOLE, RANDOM).why == "weights"


@pytest.mark.parametrize(
    ("rule", "caller", "matches"),
    [
        (Rule("2", tenants=frozenset({"t"})), WHOLE, True),
        (Rule("2", tenants=frozenset({"u"})), WHOLE, False),
        (Rule("2", tenants=frozenset({"t", "u"}), keys=frozenset({"k"})), WHOLE, True),
        (Rule("2", tenants=frozenset({"t"}), keys=frozenset({"l"})), WHOLE, False),
        (Rule("2", header=(b"x-beta", b"yes")), Caller(headers={b"x-beta": b"yes"}), True),
        (Rule("2", header=(b"x-beta", b"yes")), Caller(headers={b"x-beta": b"no"}), False),
        (Rule("2", header=(b"x-beta", b"yes")), WHOLE, False),
        (Rule("2", tenants=frozenset({"t"})), Caller(), False),
    ],
    ids=range(8),
)
def test_a_rule_sends_those_for_whom_all_of_it_holds(rule: Rule, caller: Caller, matches: bool) -> None:
    choice = canary(0, rules=[rule]).choose(caller, RANDOM)
    assert choice == (Choice("2", "rule 1") if matches else Choice("1", "only"))


def test_the_first_rule_that_matches_counts() -> None:
    rules = [Rule("1", keys=frozenset({"l"})), Rule("2", tenants=frozenset({"t"})), Rule("1", keys=frozenset({"k"}))]
    assert canary(5, rules=rules).choose(WHOLE, RANDOM) == Choice("2", "rule 2")


@pytest.mark.parametrize(
    ("weights", "rules", "told"),
    [
        ({"1": -1.0, "2": 2.0}, [], "the weight of version 1 is no number from 0 up"),
        ({"1": 1.0, "2": float("nan")}, [], "the weight of version 2 is no number from 0 up"),
        ({"1": float("inf")}, [], "the weight of version 1 is no number from 0 up"),
        ({"1": 0.0, "2": 0.0}, [], "the weights sum to 0: no version would get anybody"),
        ({}, [], "the weights sum to 0: no version would get anybody"),
        ({"1": 1.0}, [Rule("1"), Rule("3")], "rule 2: there is no version 3"),
    ],
    ids=range(6),
)
def test_what_splits_nothing_is_refused(weights: dict[str, float], rules: list[Rule], told: str) -> None:
    with pytest.raises(ValueError, match=told):
        Split("chat", weights, "key", rules)


def test_it_shows_what_it_does() -> None:
    assert repr(canary(5, rules=[Rule("2")])) == "<Split 1=95, 2=5 by key, 1 rules>"


def test_a_choice_between_two_versions_takes_microseconds() -> None:
    split, caller = canary(5), Caller(key="k_00001", tenant="t")
    best = min(_timed(split, caller) for _ in range(5))
    assert best < 60e-6  # six are meant


def _timed(split: Split, caller: Caller) -> float:
    started = time.thread_time()
    for _ in range(1_000):
        split.choose(caller, RANDOM)
    return (time.thread_time() - started) / 1_000
