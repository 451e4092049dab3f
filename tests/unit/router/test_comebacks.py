"""When who was refused may come back: not all at once, whatever their number, and not by the number of others."""

from __future__ import annotations

import pytest

from router.comebacks import AHEAD, LATEST, SOONEST, Comebacks
from tests.support.admission_stage import Stage, refused
from tests.support.gates import Noted


def test_each_comes_back_behind_those_who_were_told_before() -> None:
    comebacks = Comebacks()
    assert [comebacks.book(1, "a", 100.0, 2.0, 0.5) for _ in range(4)] == [2.0, 2.5, 3.0, 3.5]
    assert comebacks.book(1, "a", 101.0, 2.0, 0.5) == 3.0, "a second later it is a second less"


def test_a_flood_moves_nobody_but_its_own_tenant_and_class() -> None:
    comebacks = Comebacks()
    for _ in range(1000):
        comebacks.book(1, "flood", 100.0, 2.0, 0.1)
    assert comebacks.book(1, "flood", 100.0, 2.0, 0.1) == AHEAD
    assert comebacks.book(1, "calm", 100.0, 2.0, 0.1) == 2.0
    assert comebacks.book(0, "flood", 100.0, 2.0, 0.1) == 2.0


def test_nobody_is_told_to_come_sooner_or_later_than_libraries_heed() -> None:
    comebacks = Comebacks()
    assert comebacks.book(1, "a", 100.0, 0.0, 0.0) == SOONEST
    assert comebacks.book(1, "a", 100.0, 1e6, 1e6) == LATEST
    assert comebacks.book(1, "a", 100.0 + AHEAD, 0.0, 0.1) == SOONEST, "as if there had been none before"


def test_of_those_whose_time_has_come_nothing_is_kept() -> None:
    comebacks = Comebacks()
    for number in range(3):
        comebacks.book(1, str(number), 100.0, 1.0, 1.0)
    comebacks.forget(101.9)
    assert repr(comebacks) == "<Comebacks of 3 tenants>"
    comebacks.forget(102.0)
    assert repr(comebacks) == "<Comebacks of 0 tenants>"


@pytest.mark.parametrize("apart", [0.01, 0.02, 0.03])
async def test_a_crowd_that_does_as_it_is_told_comes_no_faster_than_it_is_served(apart: float) -> None:
    """One place of half a second, twenty callers at about once: no more come back in a second than it has room for."""
    stage = Stage()
    await stage.learn(0.5)
    stage.enter()
    waiting = [await stage.wait() for _ in range(4)]
    comes_back: list[float] = []
    for _ in range(20):
        told = await refused(await stage.wait(Noted()))
        comes_back.append(stage.now + told.retry_after)
        stage.now += apart
    first = min(comes_back)
    served = [sum(moment < first + seconds for moment in comes_back) / seconds for seconds in (5, 10, 20)]
    assert max(served) < 2 * 1.25, "of the two that a second has room for, as the draws may have it"
    for task in waiting:
        task.cancel()
