"""Each message counts once, in whatever order and however often it arrives."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from security.limits import script
from security.limits.api import Bucket, Cost, Quota, Slots, key
from security.limits.gcra import charges
from security.limits.script import Call
from tests.support.valkey import ValkeyServer

NOW = 1_700_000_000_000_000
REAL = Bucket(key("acme", "real"), "tokens", 60, 60.0)
TRIAL = Bucket(key("acme", "trial"), "tokens", 60, 60.0, enforce=False)
QUOTA = Quota("acme", (REAL, TRIAL), (Slots(key("acme", "slots"), 2),))
Run = Callable[[Call], list[int] | int]


@pytest.fixture
def run(valkey: ValkeyServer) -> Iterator[Run]:
    with valkey.client() as client:
        run_it = client.register_script(script.text())
        yield lambda call: run_it(keys=list(call.keys), args=list(call.arguments))


def reserve(name: str, tokens: int, advance: int = 0) -> Call:
    return script.reserve(QUOTA, charges(QUOTA, Cost(1, tokens)), [advance, 0] if advance else [], name, NOW)


def levels(run: Run) -> list[float]:
    """Seconds by which the buckets are ahead."""
    reply = run(script.reserve(Quota("acme", QUOTA.buckets), [0, 0], [], "look", NOW))
    assert isinstance(reply, list)
    run(script.settle(Quota("acme", QUOTA.buckets), [0, 0], [0, 0], "look", NOW))
    return [micros / 1_000_000 for micros in reply[3:5]]


def test_a_reservation_is_made_once(run: Run) -> None:
    assert run(reserve("a", 10)) == [0, 0, 0, 10_000_000, 10_000_000]
    assert run(reserve("a", 10)) == [-1]
    assert levels(run) == [10.0, 10.0]


def test_a_reservation_is_settled_once(run: Run) -> None:
    run(reserve("a", 10))
    paid = charges(QUOTA, Cost(1, 10))
    assert [run(script.settle(QUOTA, paid, charges(QUOTA, Cost(1, 4)), "a", NOW)) for _ in range(3)] == [1, 0, 0]
    assert [run(script.take_back(QUOTA, paid, "a", NOW)) for _ in range(3)] == [0, 0, 0]
    assert levels(run) == [4.0, 4.0]


def test_what_is_taken_back_before_it_arrives_never_counts(run: Run) -> None:
    asked = charges(QUOTA, Cost(1, 10))
    assert [run(script.take_back(QUOTA, asked, "a", NOW)) for _ in range(3)] == [0, 0, 0]
    assert run(reserve("a", 10)) == [-1]
    assert run(script.take_back(QUOTA, asked, "a", NOW)) == 0
    assert levels(run) == [0.0, 0.0]


def test_what_was_never_taken_is_not_taken_back(run: Run) -> None:
    """Whoever left before the answer does not know that the dry run's bucket was left out."""
    run(script.charge(Quota("acme", (TRIAL,)), [55_000_000], "before", NOW))
    assert run(reserve("a", 10)) == [0, 0, 2, 10_000_000, 55_000_000]
    run(script.take_back(QUOTA, charges(QUOTA, Cost(1, 10)), "a", NOW))
    assert levels(run) == [0.0, 55.0]


def test_a_charge_counts_once_and_may_be_a_debt(run: Run) -> None:
    quota = Quota("acme", (REAL, TRIAL))
    assert [run(script.charge(quota, [7_000_000, 90_000_000], "a", NOW)) for _ in range(3)] == [1, 0, 0]
    assert levels(run) == [7.0, 90.0]
    run(script.charge(quota, [-3_000_000, -95_000_000], "b", NOW))
    run(script.charge(Quota("acme", (Bucket(key("acme", "new"), "tokens", 60, 60.0),)), [-5_000_000], "c", NOW))
    assert levels(run) == [4.0, 0.0]


def test_in_advance_is_taken_what_there_is_room_for(run: Run) -> None:
    assert run(reserve("a", 10, 20_000_000)) == [0, 0, 0, 10_000_000, 10_000_000, 20_000_000, 0]
    assert run(reserve("b", 10, 50_000_000)) == [0, 0, 0, 40_000_000, 20_000_000, 20_000_000, 0]
    assert run(reserve("c", 10, 50_000_000)) == [1, 10_000_000, 0, 60_000_000, 20_000_000]


def test_what_was_taken_in_advance_for_somebody_who_left_is_taken_back_too(run: Run) -> None:
    paid = charges(QUOTA, Cost(1, 10))
    run(reserve("a", 10, 20_000_000))
    run(reserve("b", 10, 50_000_000))
    assert levels(run) == [60.0, 20.0]
    run(script.settle(QUOTA, paid, charges(QUOTA, Cost(1, 10)), "a", NOW))
    assert levels(run) == [60.0, 20.0], "whoever was answered has it still"
    assert [run(script.take_back(QUOTA, paid, "b", NOW)) for _ in range(2)] == [1, 0]
    assert levels(run) == [30.0, 10.0]
