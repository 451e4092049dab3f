"""What requests will cost: boot values at first, then what was measured, whatever nonsense is among it."""

from __future__ import annotations

from math import inf, nan
from random import Random
from typing import Any

import pytest

from engines.api import Prices
from router.cost import Costs, Finished
from router.rates import OUTLIER
from tests.support.costs import Ledger, finished


def test_at_first_it_is_what_we_were_told() -> None:
    costs = Costs(lambda: 0.0)
    assert costs.prompt(4000) == 1000
    assert costs.output("a", 1000, None) == 256
    assert costs.work(1000, 100) == pytest.approx(1000 * 28e-6 + 100 * 130e-6)
    assert costs.prefill(1000) == pytest.approx(0.028)
    assert costs.held_per_work is None
    assert costs.replicas == {}
    assert Costs(lambda: 0.0, Prices(1e-3, 2e-3)).work(10, 10) == pytest.approx(0.03)


def test_a_cap_is_kept() -> None:
    costs = Costs(lambda: 0.0)
    assert [costs.output("a", 10, cap) for cap in (0, 1, 255, 256, 257, None)] == [0, 1, 255, 256, 256, 256]


def test_tokens_per_byte_are_learned_by_the_size_of_bodies() -> None:
    ledger = Ledger()
    for _ in range(400):
        ledger.learn(finished(body=3000, prompt=1000), finished(body=900_000, prompt=900))  # text, and a picture
    assert ledger.costs.prompt(3000) == pytest.approx(1000, rel=0.02)
    assert ledger.costs.prompt(900_000) == pytest.approx(900, rel=0.05)
    assert ledger.costs.prompt(100) == 25, "of which nothing is known"


def test_tokens_that_we_counted_ourselves_teach_nothing_about_bytes() -> None:
    ledger = Ledger()
    ledger.each(finished(body=3000, prompt=1000, exact=False) for _ in range(50))
    assert ledger.costs.prompt(3000) == 750


def test_an_answer_is_found_again_under_what_is_expected_of_its_prompt() -> None:
    ledger = Ledger()
    for round_number in range(400):  # bodies of a few bytes more or less, and 1024 tokens, an octave's edge
        body = 3000 + round_number % 7
        ledger.learn(finished(body=body, prompt=1024, output=32))
    costs = ledger.costs
    assert {costs.output("a", costs.prompt(body), None) for body in range(3000, 3007)} == {32}


def test_an_answer_that_ended_where_its_caller_s_limits_did_says_nothing_of_how_long_answers_are() -> None:
    ledger = Ledger()
    ledger.each(finished(output=3, capped=True) for _ in range(50))
    assert ledger.costs.output("a", 1000, None) == 256
    ledger.each(finished(output=3, capped=False) for _ in range(50))
    assert ledger.costs.output("a", 1000, None) == 3


def stream(random: Random, base: float, prefill: float, decode: float) -> Finished:
    """A streamed answer of a server with these rates."""
    prompt, output, beside = random.randint(10, 8000), random.randint(10, 500), random.randint(1, 16)
    begun = base + prompt * prefill
    held = begun + output * decode * beside
    return finished(prompt=prompt, output=output, begun=begun, held=held, beside=beside, body=4 * prompt)


@pytest.mark.parametrize(
    ("base", "prefill", "decode"),
    [(0.0, 28e-6, 130e-6), (0.03, 5e-6, 20e-6), (0.2, 200e-6, 1e-3), (0.05, 5e-3, 0.02)],
    ids=["as told", "faster", "slower", "a laptop"],
)
def test_prices_are_found(base: float, prefill: float, decode: float) -> None:
    ledger, random = Ledger(), Random(1)
    ledger.each(stream(random, base, prefill, decode) for _ in range(400))
    costs = ledger.costs
    for rates in (costs.replicas["one"], costs._rates):
        assert rates.first.price == pytest.approx(prefill, rel=0.1)
        assert rates.decoding.value == pytest.approx(decode, rel=0.1)
        assert rates.first.base == pytest.approx(base, abs=0.1 * (base + 1000 * prefill))
    assert costs.prefill(4000) == pytest.approx(base + 4000 * prefill, rel=0.1)
    assert costs.work(1000, 100) == pytest.approx(1000 * prefill + 100 * decode, rel=0.1)


def test_prompts_of_one_length_do_not_make_longer_ones_dear() -> None:
    ledger = Ledger()
    ledger.each(finished(prompt=300, begun=0.1) for _ in range(100))
    assert ledger.costs.prefill(300) == pytest.approx(0.1, rel=0.05)
    assert ledger.costs.prefill(8000) < 0.1 + 8000 * 40e-6, "a tenth of a second is what any of them takes"


def test_those_that_waited_for_others_say_little_of_how_long_it_takes() -> None:
    ledger, random = Ledger(), Random(1)
    truth = 0.05
    ledger.each(
        finished(begun=truth + (random.expovariate(1 / truth) if random.random() < 0.5 else 0)) for _ in range(500)
    )
    assert truth <= ledger.costs.prefill(1000) < 1.25 * truth, "their mean is 1.5 times as much"


def test_whole_texts_tell_of_decoding_alone() -> None:
    ledger = Ledger()
    before = ledger.costs.prefill(1000)
    held = before + 100 * 1e-3 * 4
    ledger.each(finished(whole=True, begun=held, held=held, beside=4) for _ in range(100))
    assert ledger.costs.prefill(1000) == before
    assert ledger.costs.replicas["one"].decoding.value == pytest.approx(1e-3, rel=0.1)


def test_each_replica_has_its_own_prices() -> None:
    ledger, random = Ledger(), Random(1)
    for _ in range(300):
        slow = stream(random, 0.04, 120e-6, 400e-6)
        ledger.learn(stream(random, 0.01, 30e-6, 100e-6), finished(**{**_fields(slow), "replica": "slow"}), pause=0.01)
    fast, slow_one = ledger.costs.replicas["one"], ledger.costs.replicas["slow"]
    assert slow_one.first.price == pytest.approx(4 * fast.first.price, rel=0.1)
    assert slow_one.decoding.value == pytest.approx(4 * fast.decoding.value, rel=0.1)
    assert fast.decoding.value < ledger.costs._rates.decoding.value < slow_one.decoding.value


def test_a_replica_that_is_gone_is_forgotten() -> None:
    ledger = Ledger()
    ledger.learn(finished(replica="gone"), finished())
    ledger.learn(pause=700)
    assert set(ledger.costs.replicas) == {"gone", "one"}, "who is idle together is not gone"
    ledger.learn(finished())
    assert set(ledger.costs.replicas) == {"one"}


def test_an_outlier_moves_little() -> None:
    ledger, random = Ledger(), Random(1)
    ledger.each((stream(random, 0.02, 30e-6, 100e-6) for _ in range(300)), pause=0.0125)
    costs = ledger.costs
    before = costs.prefill(1000), costs.work(1000, 100), costs.held_per_work
    ledger.learn(finished(begun=100 * costs.prefill(1000), held=100 * costs.prefill(1000) + 100 * 0.01))
    after = costs.prefill(1000), costs.work(1000, 100), costs.held_per_work
    for was, has_become in zip(before, after, strict=True):
        assert was is not None
        assert has_become == pytest.approx(was, rel=2 * OUTLIER / 64)


def _fields(each: Finished) -> dict[str, Any]:
    return {name: getattr(each, name) for name in each.__slots__}


NONSENSE: list[dict[str, Any]] = [
    {"prompt": 0, "output": 0, "body": 0},
    {"held": 0.0, "begun": 0.0},
    {"held": 0.0, "begun": 1e-9},
    {"held": 1.0, "begun": 2.0},
    {"held": inf},
    {"held": nan, "begun": nan, "work": nan},
    {"work": 0.0},
    {"work": 5e-324},
    {"work": -1.0},
    {"work": inf},
    {"beside": 0},
    {"prompt": -1, "output": -1, "body": -1},
    {"prompt": 10**30, "output": 10**30},
    {"begun": inf},
    {"begun": 1e5, "held": 2e5},
    {"begun": -1.0},
    {"body": 1, "prompt": 1_000_000},
]


@pytest.mark.parametrize("different", NONSENSE, ids=str)
def test_nonsense_does_no_lasting_harm(different: dict[str, Any]) -> None:
    ledger = Ledger()
    ledger.each(finished(**different) for _ in range(100))
    costs = ledger.costs
    assert 0 <= costs.prefill(1000) < inf
    assert 0 < costs.work(1000, 100) < inf
    assert costs.held_per_work is None or 0 < costs.held_per_work < inf
    ledger.each(finished() for _ in range(1200))
    assert costs.prefill(1000) == pytest.approx(0.1, rel=0.1)
    assert costs.replicas["one"].decoding.value == pytest.approx(0.01, rel=0.1)
    assert costs.output("a", 1000, None) == 112
    assert costs.held_per_work == pytest.approx(1.1 / finished().work, rel=0.01)


def test_from_answers_that_take_no_time_there_is_a_way_back() -> None:
    ledger = Ledger()
    ledger.learn(*[finished(begun=0.1, held=0.1)] * 60_000)  # come all at once, behind a proxy that buffers
    assert ledger.costs.work(0, 1) > 0
    ledger.learn(*[finished()] * 300)
    assert ledger.costs.replicas["one"].decoding.value == pytest.approx(0.01, rel=0.05)
