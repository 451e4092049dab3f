"""P07, P09: whole texts are silent until they end; who has them is neither stalled nor slow for it."""

from __future__ import annotations

from engines.api import Failed
from router.api import Replica
from tests.support.pools import Stage


def texts(stage: Stage, replica: Replica, count: int, seconds: float) -> None:
    """So many at once, which take so long, while replicas that have none answer other calls."""
    notes = [stage.send(replica, whole=True) for _ in range(count)]
    for _ in range(round(seconds * 10)):
        stage.rest(0.1)
        for other in stage.replicas:
            if not other.active and not other.breaker.out:
                stage.call(other)
    for sent in notes:
        stage.answer(sent)
        stage.end(sent)


def test_long_texts_are_no_stall() -> None:
    """Nor are those that take a little longer than they usually do."""
    stage = Stage(3)
    for _ in range(3):
        texts(stage, stage.replicas[0], 5, 6.0)
    texts(stage, stage.replicas[1], 5, 9.0)
    assert not stage.changes


def test_p07_texts_that_never_come_are_a_stall_once_it_is_known_how_long_they_take() -> None:
    stage = Stage(3)
    replica, other, _ = stage.replicas
    for _ in range(3):
        stage.send(replica, whole=True)
    texts(stage, other, 1, 4.0)
    assert not stage.changes, "nothing is known"
    stage = Stage(3)
    replica, other, _ = stage.replicas
    texts(stage, other, 16, 0.2)
    for _ in range(3):
        stage.send(replica, whole=True)
    for _ in range(19):
        texts(stage, other, 1, 0.2)
    assert not stage.changes, "it may take twenty times as long"
    for _ in range(3):
        texts(stage, other, 1, 0.2)
    assert stage.told(replica) == ["ejected"]


def test_p07_streams_are_a_stall_whatever_text_is_made_beside_them() -> None:
    stage = Stage(3)
    replica, other, _ = stage.replicas
    stage.send(replica, whole=True)
    for _ in range(3):
        stage.send(replica)
    texts(stage, other, 1, 2.2)
    assert stage.told(replica) == ["ejected"]


def test_a_probe_that_is_a_long_text_is_waited_for() -> None:
    stage = Stage(3)
    replica, other, _ = stage.replicas
    stage.eject(replica, Failed("broken"))
    while replica.breaker.state != "probing":
        texts(stage, other, 1, 1.0)
    probe = stage.send(whole=True)
    assert probe.asked is replica
    texts(stage, other, 1, 6.0)
    stage.answer(probe)
    assert stage.told(replica) == ["ejected", "probing", "slow_start"]


def test_who_is_given_the_long_texts_is_not_slower_for_it() -> None:
    stage = Stage(3)
    for _ in range(10):
        texts(stage, stage.replicas[0], 10, 1.0)
    assert not stage.changes
