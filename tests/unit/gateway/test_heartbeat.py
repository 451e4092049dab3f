"""The loop's pulse as other threads see it."""

from __future__ import annotations

import pytest

from engines.sweeper import TICK
from gateway.heartbeat import WINDOW, Heartbeat


def test_age_counts_from_the_last_beat_and_before_it_from_the_start() -> None:
    heartbeat = Heartbeat(lambda: 100.0)
    assert heartbeat.age(103.0) == 3.0
    heartbeat.beat(104.0)
    assert heartbeat.age(104.5) == 0.5


def test_a_slow_start_is_no_lag() -> None:
    heartbeat = Heartbeat(lambda: 100.0)
    heartbeat.beat(103.0)
    assert heartbeat.lag == 0.0


def test_lag_is_the_worst_lateness_and_is_forgotten_after_two_windows() -> None:
    now = 100.0
    heartbeat = Heartbeat(lambda: now)
    heartbeat.beat(now)
    now += TICK + 0.7
    heartbeat.beat(now)
    stalled_at = now
    shown = []
    while now < stalled_at + 2 * WINDOW + 1:
        now += TICK
        heartbeat.beat(now)
        shown.append((now - stalled_at, heartbeat.lag))
    assert all(lag == pytest.approx(0.7) for since, lag in shown if since < WINDOW)
    assert shown[-1][1] == pytest.approx(0.0)
