"""When new requests are refused to save the process: soon in real trouble, never for one hiccup, and not for ever."""

from __future__ import annotations

import logging
from collections.abc import Iterable
from dataclasses import dataclass

import pytest

from engines.sweeper import NEVER, TICK
from gateway.self_protection import JITTER, SelfProtection, Strain


class Patient:
    """A process whose readings the test makes up, and the clock by which it is beaten."""

    def __init__(self) -> None:
        self.now = 1000.0
        self.had = 5.0
        self.filled = self.opened = 0.1
        self.read = 0
        self.protection = SelfProtection(self)

    def worked(self) -> float:
        return self.had

    def memory(self) -> float:
        self.read += 1
        return self.filled

    def files(self) -> float:
        return self.opened

    def most_files(self) -> int:
        return 100

    def live(self, lates: Iterable[float], busy: float = 0.9) -> None:
        """A beat for each lateness, in which the loop worked for a share of the time."""
        for late in lates:
            self.now += TICK + late
            self.had += busy * (TICK + late)
            self.protection.beat(self.now)

    def rest(self, seconds: float) -> None:
        self.live([0.0] * round(seconds / TICK))


@pytest.fixture
def patient() -> Patient:
    made = Patient()
    made.live([0.0])
    return made


def test_a_loop_that_is_late_for_a_second_gets_no_more(patient: Patient) -> None:
    patient.live([0.06] * 5)
    assert patient.protection.reason is None
    patient.live([0.06] * 3)
    assert patient.protection.reason == "lag"


def test_long_rounds_are_noticed_as_soon_as_there_are_two(patient: Patient) -> None:
    patient.live([1.5])
    assert patient.protection.reason is None
    patient.live([1.5])
    assert patient.protection.reason == "lag"


@pytest.mark.parametrize(
    "lates",
    [
        [3.0, 0.0],
        [0.4, 0.2, 0.06, 0.0],
        [0.06, 0.06, 0.06, 0.0] * 10,
        [0.0, 0.5] * 10,
        [0.045] * 40,
    ],
    ids=["one stall", "a stall and what it left", "some in a row", "every other one", "not late enough"],
)
def test_hiccups_are_no_trouble(patient: Patient, lates: list[float]) -> None:
    for late in lates:
        patient.live([late])
        assert patient.protection.reason is None


def test_what_neighbours_take_is_no_lag(patient: Patient) -> None:
    """A busy neighbour, a stopped process: fewer requests would not help who does next to nothing."""
    patient.live([0.3] * 20, busy=0.05)
    patient.live([0.15] * 20, busy=0.25)
    assert patient.protection.reason is None
    patient.live([0.25] * 20, busy=0.25)  # a quarter of a core is all it gets, and too little
    assert patient.protection.reason == "lag"


def test_the_start_is_no_lag() -> None:
    started = Patient()
    started.live([20.0])
    assert started.protection.reason is None


def test_it_is_over_once_the_loop_has_kept_up_for_two_seconds(patient: Patient) -> None:
    patient.live([0.1] * 10)
    patient.rest(1.9)
    patient.live([0.03])  # not late, but not well either
    patient.rest(1.9)
    assert patient.protection.reason == "lag"
    patient.rest(0.3)
    assert patient.protection.reason is None


@pytest.mark.parametrize(("reading", "high", "between"), [("filled", 0.86, 0.82), ("opened", 0.81, 0.77)])
def test_memory_and_files_count_at_once_and_need_a_margin_to_be_forgotten(
    patient: Patient, reading: str, high: float, between: float
) -> None:
    setattr(patient, reading, high)
    patient.rest(1.1)
    assert patient.protection.reason == {"filled": "memory", "opened": "files"}[reading]
    setattr(patient, reading, between)
    patient.rest(20)
    assert patient.protection.reason is not None
    setattr(patient, reading, 0.5)
    patient.rest(4)
    assert patient.protection.reason is not None
    patient.rest(3)
    assert patient.protection.reason is None


@dataclass(eq=False)
class Connection:
    idle_until: float
    closed: bool = False

    def close_idle(self) -> None:
        self.closed = True


def test_before_anybody_is_refused_those_that_were_idle_for_longest_are_closed(patient: Patient) -> None:
    idle = [Connection(float(number)) for number in range(20)]
    asking = [Connection(NEVER) for _ in range(50)]
    for connection in (*reversed(idle), *asking):
        patient.protection.idlers.add(connection)
    patient.opened = 0.84
    patient.rest(1.1)
    assert patient.protection.reason is None
    assert [connection.closed for connection in idle] == [True] * 9 + [False] * 11, "down to 75 of 100"
    assert not any(connection.closed for connection in asking)


def test_where_idle_ones_are_too_few_newcomers_are_refused_all_the_same(patient: Patient) -> None:
    patient.protection.idlers.add(Connection(1.0))
    patient.opened = 0.84
    patient.rest(1.1)
    assert patient.protection.reason == "files"


def test_what_costs_something_is_read_once_a_second(patient: Patient) -> None:
    before = patient.read
    patient.rest(10)
    assert 9 <= patient.read - before <= 10


def test_callers_are_told_what_is_short_and_to_come_back_at_different_times(patient: Patient) -> None:
    problems = [patient.protection.refusal("memory") for _ in range(2 * JITTER)]
    assert {(problem.status, problem.code, problem.close) for problem in problems} == {(503, "overloaded", True)}
    assert "memory" in problems[0].message
    times = {problem.retry_after for problem in problems}
    assert len(times) == JITTER
    assert all(time is not None and 1 <= time <= 2 for time in times)
    assert all(b"retry-after-ms: %d\r\n" % round(1000 * (p.retry_after or 0)) in p.lines for p in problems)
    assert problems[0] is problems[JITTER]  # made once: a refusal makes nothing
    assert "loop" in patient.protection.refusal("lag").message
    assert not patient.protection.refusal("lag").close
    assert "descriptors" in patient.protection.refusal("files").message


def test_metrics_and_warnings_say_what_it_is(patient: Patient) -> None:
    assert patient.protection.warnings() == []
    patient.filled = 0.9
    patient.rest(1.1)
    patient.protection.refusal("memory")
    text = "".join(patient.protection.lines())
    assert 'snowshed_self_protection{reason="memory"} 1\n' in text
    assert 'snowshed_self_protection{reason="lag"} 0\n' in text
    assert 'snowshed_self_protection_refused_total{reason="memory"} 1\n' in text
    assert 'snowshed_self_protection_refused_total{reason="files"} 0\n' in text
    assert patient.protection.warnings() == ["The gateway is short of memory."]
    assert repr(patient.protection) == "<SelfProtection memory, 1 refused>"


def test_each_change_is_said_once(patient: Patient, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "snowshed")
    patient.opened = 0.9
    patient.rest(5)
    patient.opened = 0.1
    patient.rest(10)
    assert [(record.message, getattr(record, "reason", None)) for record in caplog.records] == [
        ("requests refused", "files"),
        ("requests taken again", None),
    ]


def test_a_strain_shows_its_state() -> None:
    strain = Strain(0.8, 0.7, 0.0, 5.0)
    strain.note(0.0, 0.9)
    assert repr(strain) == "<Strain over 0.8, on>"
