"""What the collector takes is counted by generation, and nothing of it once closed."""

from __future__ import annotations

import gc
from itertools import count

from gateway.pauses import Pauses


def test_collections_are_timed_by_generation() -> None:
    ticks = count()
    pauses = Pauses(lambda: float(next(ticks)))  # each reading is a second after the last
    for generation in (0, 2, 2):
        pauses.note("start", {"generation": generation})
        pauses.note("stop", {"generation": generation})
    assert pauses.seconds == [1.0, 0.0, 2.0]
    assert 'snowshed_gc_pause_seconds_total{generation="2"} 2.0\n' in "".join(pauses.lines())


def test_the_interpreter_s_own_collections_are_heard_until_closed() -> None:
    ticks = count()
    pauses = Pauses(lambda: float(next(ticks)))
    pauses.watch()
    gc.collect()
    heard = pauses.seconds[2]
    pauses.close()
    gc.collect()
    assert heard >= 1.0
    assert pauses.seconds[2] == heard
    assert pauses.note not in gc.callbacks
