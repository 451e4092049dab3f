"""What the store has just refused is refused here, for a moment, and no longer than it would be there."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from security.limits.api import SECOND, Bucket, Cost, Decision, NeverFits, OverLimit, Quota, Slots
from security.limits.denials import Denials
from security.limits.gcra import charges
from security.limits.known import Known

TPM, DAY, SLOTS = Bucket("tpm", "tokens", 600, 60.0), Bucket("day", "tokens", 86400, 86400.0), Slots("slots", 3)
QUOTA = Quota("acme", (TPM, DAY), (SLOTS,))


class Memory:
    """Denials on a clock."""

    def __init__(self) -> None:
        self.clock = [100.0]
        self.known = Known(lambda: self.clock[0])
        self.denials = Denials(self.known, Random(1))

    def refuse(self, limit: Bucket | Slots, wait: float, *levels: float) -> None:
        """The store has, and told of the buckets' levels, in seconds."""
        decision = Decision(0, [round(level * SECOND) for level in levels], (), (), (), limit, round(wait * SECOND))
        self.known.note(QUOTA, decision)
        self.denials.note(decision, 0)

    def wait(self, tokens: int) -> float:
        """What is told; 0.0: the store is asked."""
        try:
            self.denials.check(QUOTA, charges(QUOTA, Cost(1, tokens)))
        except OverLimit as over:
            return over.wait
        return 0.0


def test_who_would_be_refused_again_is_refused_here() -> None:
    memory = Memory()
    assert memory.wait(600) == 0.0
    memory.refuse(TPM, 20.0, 50.0, 0.0)
    assert memory.wait(300) == 20.0
    memory.clock[0] += 0.1
    assert memory.wait(300) == pytest.approx(19.9)
    assert memory.wait(100) == 0.0, "so few fit"
    with pytest.raises(NeverFits):
        memory.wait(601)


def test_the_wait_is_the_longest_of_all_that_are_known() -> None:
    memory = Memory()
    memory.refuse(DAY, 30.0, 55.0, 86400.0)
    assert memory.wait(80) == 80.0
    memory.refuse(TPM, 3.0, 59.0, 86300.0)
    assert memory.wait(40) == 3.0


def test_after_half_a_second_or_so_it_is_asked_again() -> None:
    memory = Memory()
    memory.refuse(TPM, 20.0, 60.0, 0.0)
    lasted = 0.0
    while memory.wait(600):
        memory.clock[0] += 0.01
        lasted += 0.01
    assert 0.25 <= lasted <= 0.76


def test_a_short_wait_is_remembered_for_about_as_long() -> None:
    memory = Memory()
    memory.refuse(TPM, 0.01, 60.0, 0.0)
    assert memory.wait(600)
    memory.clock[0] += 0.016
    assert not memory.wait(600)


def test_what_is_given_back_here_counts_at_once() -> None:
    memory = Memory()
    memory.refuse(TPM, 20.0, 60.0, 0.0)
    made = Decision(0, [0, 0], [50 * SECOND, 50 * SECOND], ())
    memory.known.settle(QUOTA, made, charges(QUOTA, Cost(1, 0)))
    assert memory.wait(500) == 0.0
    assert memory.wait(501) > 0


def test_slots_are_asked_for_again_when_one_is_free_here_or_may_be_elsewhere() -> None:
    memory = Memory()
    memory.refuse(SLOTS, 1.0, 0.0, 0.0)
    assert memory.wait(1) == 1.0
    with pytest.raises(NeverFits):
        memory.wait(601)
    memory.denials.lift([SLOTS])
    assert memory.wait(1) == 0.0
    for _ in range(100):
        memory.refuse(SLOTS, 1.0, 0.0, 0.0)
        memory.clock[0] += 0.035  # with up to 15 ms until the store has heard of a release: 50
        assert memory.wait(1) == 0.0


def test_who_waits_for_a_slot_is_told_of_a_bucket_that_has_room_later() -> None:
    memory = Memory()
    memory.refuse(SLOTS, 1.0, 50.0, 0.0)
    assert memory.wait(100) == 1.0
    assert memory.wait(300) == 20.0


def test_room_gathers_in_a_bucket_for_those_who_take_of_it() -> None:
    """Who takes nothing of it passes, as does everybody once it is only tried."""
    memory = Memory()
    full = Decision(0, [0, 60 * SECOND], (), (), (), DAY, SECOND // 100)
    memory.known.note(QUOTA, full)
    assert memory.denials.note(full, SECOND) >= SECOND // 4, "so long nobody gets anything"
    memory.clock[0] += 0.1
    assert memory.wait(1) > 0
    assert memory.wait(0) == 0.0
    tried = Quota("acme", (TPM, replace(DAY, enforce=False)))
    memory.denials.check(tried, charges(tried, Cost(1, 1)))


def test_a_flood_of_refused_keys_takes_no_more_memory_than_some() -> None:
    memory = Memory()
    for number in range(50_000):
        limit = Bucket(f"b{number}", "tokens", 1, 60.0)
        decision = Decision(0, [60 * SECOND], (), (), (), limit, 60 * SECOND)
        memory.known.note(Quota("acme", (limit,)), decision)
        memory.denials.note(decision, 0)
    assert repr(memory.known) == "<Known 20000 buckets>"
    assert len(memory.denials._until) <= 20_000
