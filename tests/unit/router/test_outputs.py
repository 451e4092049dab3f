"""Lengths of answers: a tenant's own where it has any, everybody's where not, the boot value where nobody has."""

from __future__ import annotations

import pytest

from router import outputs as module
from router.outputs import BOOT, BOUND, EDGES, HALF_LIFE, MOST, Outputs, bucket


def learn(outputs: Outputs, output: int, count: int, tenant: str = "a", now: float = 0.0, prompt: int = 1000) -> None:
    for _ in range(count):
        outputs.learn([(tenant, prompt, output)], now)


def test_buckets_are_four_to_the_octave_and_exact_for_what_callers_ask() -> None:
    assert EDGES[:13] == (0, 1, 2, 3, 4, 5, 6, 7, 8, 10, 12, 14, 16)
    assert all(EDGES[bucket(1 << power)] == 1 << power for power in range(21))
    assert bucket(MOST + 1) == bucket(MOST) == len(EDGES) - 1
    assert bucket(-1) == 0


def test_it_takes_more_than_one_answer_to_change_the_expected() -> None:
    outputs = Outputs()
    learn(outputs, 20, 1)
    assert outputs.expected("a", 1000) == BOOT
    learn(outputs, 20, 60)
    assert outputs.expected("a", 1000) == 20


def test_seven_of_ten_are_no_longer() -> None:
    outputs = Outputs()
    for _ in range(300):
        learn(outputs, 32, 6)
        learn(outputs, 64, 2)
        learn(outputs, 1024, 2)
    assert outputs.expected("a", 1000) == 64


def test_a_new_tenant_is_expected_to_be_like_the_others_until_it_is_not() -> None:
    outputs = Outputs()
    learn(outputs, 1024, 200)
    assert outputs.expected("new", 1000) == 1024
    learn(outputs, 16, 5, tenant="new")
    assert outputs.expected("new", 1000) == 1024
    learn(outputs, 16, 60, tenant="new")
    assert outputs.expected("new", 1000) == 16
    assert outputs.expected("a", 1000) == 1024


def test_prompts_of_other_sizes_are_others() -> None:
    outputs = Outputs()
    learn(outputs, 16, 100, prompt=1000)
    assert outputs.expected("a", 1023) == 16
    assert outputs.expected("a", 1024) == BOOT
    assert outputs.expected("a", 1 << 40) == BOOT


def test_embeddings_have_no_answers() -> None:
    outputs = Outputs()
    learn(outputs, 0, 100)
    assert outputs.expected("a", 1000) == 0


@pytest.mark.parametrize(("first", "then", "at_least", "at_most"), [(64, 512, 0.4, 0.7), (512, 64, 1.6, 2.1)])
def test_what_was_is_forgotten_by_halves(first: int, then: int, at_least: float, at_most: float) -> None:
    outputs, now = Outputs(), 0.0
    for _ in range(3600):
        now += 1
        outputs.learn([("a", 1000, first)], now)
    assert outputs.expected("a", 1000) == first
    drifted = now
    while outputs.expected("a", 1000) != then:
        now += 1
        outputs.learn([("a", 1000, then)], now)
    # Three of ten are enough to be expected more, seven of ten to be expected less.
    assert at_least * HALF_LIFE < now - drifted < at_most * HALF_LIFE


def test_after_a_day_a_few_answers_are_enough() -> None:
    outputs = Outputs()
    learn(outputs, 1024, 1000)
    learn(outputs, 16, 60, now=86400.0)
    assert outputs.expected("a", 1000) == 16


def test_those_that_learned_least_lately_are_forgotten() -> None:
    outputs = Outputs()
    learn(outputs, 16, 100, tenant="busy")
    for number in range(2 * BOUND):
        learn(outputs, 1024, 1, tenant=f"passing {number}")
        if number % 1000 == 0:
            learn(outputs, 16, 1, tenant="busy")
    assert len({tenant for tenant, _, _ in outputs if tenant is not None}) == BOUND
    assert outputs.expected("busy", 1000) == 16
    assert outputs.expected("passing 0", 1000) == 1024, "as everybody's"
    assert "1024 tenants" in repr(outputs)


def test_histograms_are_not_worked_out_for_every_answer() -> None:
    outputs = Outputs()
    learn(outputs, 100, 1000)
    (everybody,) = (histogram for tenant, _, histogram in outputs if tenant is None)
    counted = []
    for _ in range(200):
        learn(outputs, 100, 1)
        counted.append(everybody.total)
    assert len(set(counted)) <= 200 * module.RENEWED + 1
    assert sum(everybody.counts(0.0)) == 1200
    assert repr(everybody).endswith("at most 112 tokens expected>")


def test_who_is_served_seldom_is_expected_to_get_what_the_others_get_now() -> None:
    outputs = Outputs()
    outputs.learn([("seldom", 100, 5000)], 0.0)
    outputs.learn([("often", 100, 2)] * 300, 1.0)
    assert outputs.expected("seldom", 100) == outputs.expected("often", 100) <= 4
