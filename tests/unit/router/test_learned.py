"""What was learned of costs is the same after a restart, and nothing else is taken for it."""

from __future__ import annotations

import json
from random import Random
from typing import Any

import msgspec
import pytest

from router.learned import Known
from router.outputs import HALF_LIFE
from tests.support.costs import Ledger, finished


def told(ledger: Ledger) -> bytes:
    return msgspec.json.encode(ledger.costs.state())


def known(ledger: Ledger) -> Known:
    return msgspec.json.decode(told(ledger), type=Known)


def taught() -> Ledger:
    """By two tenants: answers of one are short, and those of the other long."""
    ledger, random = Ledger(), Random(1)
    for number in range(300):
        prompt, output = random.randint(10, 8000), (32, 512)[number % 2]
        begun = 0.02 + prompt * 60e-6
        same = {"prompt": prompt, "output": output, "begun": begun, "held": begun + output * 1e-3, "body": 3 * prompt}
        ledger.learn(finished(**same, replica="one" if number % 2 else "two", tenant="ab"[number % 2]))
    return ledger


def test_what_was_learned_outlasts_a_restart() -> None:
    before, after = taught(), Ledger()
    after.costs.restore(known(before), {"one", "two"})
    for ask in (
        lambda costs: [costs.prompt(1 << octave) for octave in range(20)],
        lambda costs: [costs.output(tenant, 1 << octave, None) for octave in range(20) for tenant in "abc"],
        lambda costs: (costs.work(1000, 100), costs.prefill(1000), repr(costs.replicas)),
    ):
        assert ask(after.costs) == pytest.approx(ask(before.costs))
        assert ask(after.costs) != pytest.approx(ask(Ledger().costs))
    assert told(after) == told(before)
    assert after.costs.held_per_work is None
    assert repr(after.costs).startswith("<Costs <Rates")


def test_of_replicas_only_those_that_are_still_there_are_known() -> None:
    after = Ledger()
    after.costs.restore(known(taught()), {"two", "three"})
    assert set(after.costs.replicas) == {"two"}


@pytest.mark.parametrize(
    "dear", [{"decode": {"value": 101.0, "count": 1}}, {"first": [2, 1.01e5, 1.01e8, 1.0001e10, 1.0001e13]}]
)
def test_what_is_so_dear_that_it_would_never_be_learned_away_is_refused(dear: dict[str, Any]) -> None:
    form = json.loads(told(taught()))
    form["rates"] |= dear
    with pytest.raises(msgspec.ValidationError, match="more than 100 seconds for a token"):
        msgspec.convert(form, Known, strict=False)


def test_answers_that_hardly_count_any_more_take_no_room() -> None:
    ledger = taught()
    assert len(known(ledger).outputs) > 10
    ledger.now += 30 * HALF_LIFE
    assert known(ledger).outputs == []


RATES: dict[str, Any] = {"first": [1.0, 10.0, 1.0, 100.0, 10.0], "decode": {"value": 1e-4, "count": 2.0}}
FOREIGN: list[tuple[dict[str, Any], str]] = [
    ({"more": 1}, "more"),
    ({"rates": {}}, "rates"),
    ({"rates": {**RATES, "first": [1.0, 0.0, 0.0, 0.0, 0.0]}}, "rates"),
    ({"rates": {**RATES, "first": [1e-300, 1.0, 1e9, 1.0, 1.0]}}, "rates"),
    ({"rates": {**RATES, "first": [None] * 5}}, "first"),
    ({"replicas": {"one": {**RATES, "decode": {"value": 0.0, "count": 2.0}}}}, "decode.value"),
    ({"tokens_per_byte": {"many": 1}}, "tokens_per_byte"),
    ({"outputs": [{"tenant": 3, "size": 3, "counts": []}]}, "tenant"),
    ({"outputs": [{"tenant": "a", "size": 3, "counts": [[4, -1.0]]}]}, "counts"),
    ({"outputs": [{"tenant": "a", "size": 3, "counts": [[1 << 21, 1.0]]}]}, "counts"),
]


@pytest.mark.parametrize(("different", "where"), FOREIGN, ids=str)
def test_what_is_not_ours_is_refused(different: dict[str, Any], where: str) -> None:
    ledger = Ledger()
    ledger.learn(finished())
    with pytest.raises(msgspec.ValidationError, match=where):
        msgspec.json.decode(json.dumps({**json.loads(told(ledger)), **different}), type=Known)
