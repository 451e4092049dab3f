"""Decisions that hang on time alone."""

from __future__ import annotations

import pytest

from engines.grpc.http2.flood import PER_SECOND, Flood
from engines.grpc.http2.frames import ErrorCode, Violation
from engines.grpc.http2.reconnecting import FIRST, MOST, BackOff


def test_pauses_grow_to_a_second_and_start_anew_after_a_success() -> None:
    back_off, now, pauses = BackOff(), 100.0, []
    for _ in range(12):
        assert back_off.may_try(now)
        back_off.failed(now)
        began = now
        while not back_off.may_try(now):
            now += 0.001
        pauses.append(now - began)
    assert pauses[0] == pytest.approx(FIRST, abs=0.002)
    assert pauses == sorted(pauses)
    assert pauses[-1] == pytest.approx(MOST, abs=0.002)
    back_off.worked()
    assert back_off.may_try(now)
    back_off.failed(now)
    assert back_off.may_try(now + FIRST)


def test_attempts_that_fail_together_are_one_failure() -> None:
    back_off = BackOff()
    for _ in range(5):
        back_off.failed(1.0)
    assert back_off.may_try(1.0 + FIRST)


class Way:
    paused = False


def test_each_second_has_its_own_count() -> None:
    now = 0.0
    flood = Flood(lambda: now, Way())
    for _ in range(5):
        now += 1.001
        for _ in range(PER_SECOND):
            flood.count()
    with pytest.raises(Violation) as caught:
        flood.count()
    assert caught.value.code is ErrorCode.ENHANCE_YOUR_CALM


def test_no_second_passes_while_our_answers_are_not_taken() -> None:
    now = 0.0
    way = Way()
    flood = Flood(lambda: now, way)
    way.paused = True
    for _ in range(PER_SECOND):
        now += 1
        flood.count()
    with pytest.raises(Violation):
        flood.count()
