"""Whatever requests have cost, estimates are sane and bounded, and answers are expected as a plain count tells."""

from __future__ import annotations

import json
from contextlib import suppress
from math import inf

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from router.cost import Costs, Finished
from router.learned import Known
from router.outputs import BOOT, BOUND, EDGES, HALF_LIFE, PRIOR, RENEWED, SHARE, Outputs, bucket
from tests.support.costs import Ledger

anything = st.floats() | st.floats(0, 1e4) | st.just(0.0)
tokens = st.integers(0, 10_000) | st.integers()
ends = st.builds(
    Finished,
    tenant=st.sampled_from("abc"),
    replica=st.sampled_from(["one", "two"]),
    prompt=tokens,
    output=tokens,
    exact=st.booleans(),
    body=st.integers(0, 10**8),
    begun=anything,
    held=anything,
    whole=st.booleans(),
    beside=st.integers(-1, 100),
    work=anything,
)
batches = st.lists(st.tuples(st.floats(0, 1000), st.lists(ends, max_size=20)), max_size=20)


def lived(happening: list[tuple[float, list[Finished]]]) -> Ledger:
    ledger = Ledger()
    for pause, ended in happening:
        ledger.learn(*ended, pause=pause)
    return ledger


def check_sanity(costs: Costs, prompt: int, longer: int, cap: int) -> None:
    assert 1 <= costs.prompt(prompt) < inf
    for tenant in "ax":
        expected = costs.output(tenant, prompt, None)
        assert 0 <= expected <= EDGES[-1]
        assert costs.output(tenant, prompt, cap) == min(cap, expected)
    assert 0 < costs.work(1 + prompt, 1) <= costs.work(1 + prompt + longer, 1) < inf
    assert costs.work(1, 1 + prompt) <= costs.work(1, 1 + prompt + longer) < inf
    assert 0 <= costs.prefill(prompt) <= costs.prefill(prompt + longer) < inf
    assert costs.held_per_work is None or 0 < costs.held_per_work < inf
    assert set(costs.replicas) <= {"one", "two"}


@given(batches, st.integers(0, 100_000), st.integers(1, 100_000), st.integers(0, 5000))
def test_estimates_are_sane_whatever_was_measured(
    happening: list[tuple[float, list[Finished]]], prompt: int, longer: int, cap: int
) -> None:
    check_sanity(lived(happening).costs, prompt, longer, cap)


@given(batches)
def test_whatever_was_learned_can_be_restored(happening: list[tuple[float, list[Finished]]]) -> None:
    ledger = lived(happening)
    told = msgspec.json.encode(ledger.costs.state())
    later = Ledger()
    later.costs.restore(msgspec.json.decode(told, type=Known), {"one", "two"})
    assert msgspec.json.encode(later.costs.state()) == told
    for prompt in (0, 1, 100, 5000):
        assert later.costs.work(prompt, prompt) == pytest.approx(ledger.costs.work(prompt, prompt))
        assert later.costs.prefill(prompt) == pytest.approx(ledger.costs.prefill(prompt))
        assert later.costs.prompt(prompt) == ledger.costs.prompt(prompt)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=8,
)


amounts = st.floats(0, 1e15) | st.just(0.0)
averages = st.fixed_dictionaries({"value": amounts, "count": amounts})
rates = st.fixed_dictionaries({"first": st.lists(amounts, min_size=5, max_size=5), "decode": averages})
members = st.one_of(
    st.tuples(st.just("rates"), rates),
    st.tuples(st.just("tokens_per_byte"), st.dictionaries(st.integers(0, 40).map(str), averages)),
    st.tuples(st.sampled_from(["tokens_per_byte", "rates", "replicas", "outputs"]), json_values),
)


@given(members, batches)
def test_foreign_input_is_refused_or_does_no_harm(
    member: tuple[str, object], happening: list[tuple[float, list[Finished]]]
) -> None:
    ledger = lived(happening)
    told = {**msgspec.to_builtins(ledger.costs.state(), str_keys=True), member[0]: member[1]}
    with suppress(msgspec.DecodeError):
        ledger.costs.restore(msgspec.json.decode(json.dumps(told), type=Known), {"one", "two"})
    check_sanity(ledger.costs, 1000, 1000, 100)


answers = st.lists(st.tuples(st.floats(0, 2 * HALF_LIFE), st.integers(0, 5000)), min_size=1, max_size=60)


@given(answers)
def test_answers_are_expected_as_a_plain_count_tells(happening: list[tuple[float, int]]) -> None:
    """One tenant after the other is alone, so that everybody's are its own and known twice."""
    outputs, now = Outputs(), 0.0
    seen: list[tuple[float, int]] = []
    for pause, output in happening:
        now += pause
        seen.append((now, output))
        outputs.learn([("a", 1000, output)], now)
        weights = [(EDGES[bucket(length)], 0.5 ** ((now - at) / HALF_LIFE)) for at, length in seen]
        everybody = [*weights, (BOOT, PRIOR)]
        scale = PRIOR / sum(weight for _, weight in everybody)
        own = [*weights, *((length, scale * weight) for length, weight in everybody)]
        known = sum(weight for _, weight in weights)
        if abs(known - PRIOR) < 2:
            continue  # it may be taken for a stranger, or not any more
        if known < PRIOR:
            own = everybody
        expected = outputs.expected("a", 1000)
        # What is new may wait until it is a sixteenth of what is known, here and in what is known of all.
        assert share(own, expected) >= SHARE - 2 * RENEWED
        assert share(own, expected - 1) <= SHARE + 2 * RENEWED


def share(weights: list[tuple[int, float]], most: int) -> float:
    """Of those that are no longer."""
    return sum(weight for length, weight in weights if length <= most) / sum(weight for _, weight in weights)


@settings(max_examples=10)
@given(st.integers(0, 2**32), st.integers(1, 3))
def test_a_crowd_of_tenants_takes_no_more_room(seed: int, sizes: int) -> None:
    outputs = Outputs()
    for batch in range(30):
        outputs.learn(((f"{seed} {batch} {n}", 10 ** (1 + n % sizes), n) for n in range(100)), float(batch))
    assert sum(tenant is not None for tenant, _, _ in outputs) == BOUND
    assert outputs.expected(f"{seed} 29 99", 10) >= 0
