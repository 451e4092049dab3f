"""P14: a prompt under which servers die is refused; one that merely shared a server with it, or a name, is not."""

from __future__ import annotations

import msgspec
import pytest

from engines.api import Call
from router.api import Quarantined
from router.quarantine import BOUND, INSTANT, REFUSED, REMEMBERED, Quarantine


class Hospital:
    """A quarantine and its clock."""

    def __init__(self) -> None:
        self.now = 100.0
        self.quarantine = Quarantine(lambda: self.now, b"key")

    def dies(self, call: Call, *replicas: str) -> None:
        """One after the other."""
        for replica in replicas:
            self.now += 2 * INSTANT
            self.quarantine.died(call, replica)

    def refuses(self, call: Call) -> bool:
        try:
            self.quarantine.check(call)
        except Quarantined:
            return True
        return False


@pytest.fixture
def hospital() -> Hospital:
    return Hospital()


def call(prompt: str, model: str = "m") -> Call:
    fields = {"messages": msgspec.Raw(msgspec.json.encode(prompt)), "seed": msgspec.Raw(b"1")}
    return Call("id", "chat", fields, model, stream=False, show_usage=False, deadline=1e9)


POISON = call("poison")


def test_p14_the_third_time_it_is_refused(hospital: Hospital) -> None:
    hospital.dies(POISON, "a")
    assert not hospital.refuses(POISON)
    hospital.dies(POISON, "b")
    assert hospital.refuses(POISON)


def test_p14_the_same_server_may_be_what_dies_twice(hospital: Hospital) -> None:
    hospital.dies(POISON, "a", "a")
    assert hospital.refuses(POISON)


def test_p14_other_parameters_make_no_other_prompt(hospital: Hospital) -> None:
    hospital.dies(POISON, "a", "b")
    again = call("poison")
    again.fields["seed"] = msgspec.Raw(b"2")
    assert hospital.refuses(again)


def test_other_prompts_and_other_models_are_free(hospital: Hospital) -> None:
    hospital.dies(POISON, "a", "b")
    assert not hospital.refuses(call("harmless"))
    assert not hospital.refuses(call("poison", "another"))


def test_calls_that_die_together_are_one_death(hospital: Hospital) -> None:
    for _ in range(50):
        hospital.quarantine.died(POISON, "a")
    assert not hospital.refuses(POISON)


def test_a_success_clears(hospital: Hospital) -> None:
    hospital.dies(POISON, "a")
    hospital.quarantine.survived(POISON)
    hospital.dies(POISON, "b")
    assert not hospital.refuses(POISON)


def test_after_a_while_one_is_a_trial(hospital: Hospital) -> None:
    hospital.dies(POISON, "a", "b")
    hospital.now += REFUSED - 0.001
    assert hospital.refuses(POISON)
    hospital.now += 0.001
    assert not hospital.refuses(POISON)
    hospital.dies(POISON, "a")
    assert hospital.refuses(POISON)
    hospital.now += REFUSED
    hospital.quarantine.survived(POISON)
    hospital.dies(POISON, "a")
    assert not hospital.refuses(POISON)


def test_a_death_is_forgotten(hospital: Hospital) -> None:
    hospital.dies(POISON, "a")
    hospital.now += REMEMBERED
    hospital.dies(POISON, "b")
    assert not hospital.refuses(POISON)


def test_suspects_are_bounded_and_the_oldest_goes(hospital: Hospital) -> None:
    hospital.dies(POISON, "a", "b")
    recent = call("recent")
    hospital.dies(recent, "a", "b")
    for number in range(BOUND - 1):
        hospital.quarantine.died(call(f"suspect {number}"), "a")
    assert not hospital.refuses(POISON)
    assert hospital.refuses(recent)
    assert repr(hospital.quarantine) == f"<Quarantine {BOUND} suspects>"


def test_any_call_forgets_what_is_long_past(hospital: Hospital) -> None:
    hospital.dies(POISON, "a")
    hospital.now += REMEMBERED
    hospital.dies(call("recent"), "a")
    assert not hospital.refuses(call("harmless"))
    assert repr(hospital.quarantine) == "<Quarantine 1 suspects>"
