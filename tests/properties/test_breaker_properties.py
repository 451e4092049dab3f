"""P09: whatever happens to calls, and in whatever order: charges come back, probes end, and each state is told."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from engines.api import Failed, Interrupted, Overloaded, Rejected, TimedOut, Unreachable
from router.api import NO_AFFINITY, NoReplica, Replica
from router.breaker import EJECTION, JITTER, LEAST, LONGEST
from tests.support.pools import TOKENS, Sent, Stage

ERRORS: Sequence[BaseException | None] = (
    None,
    Unreachable("refused"),
    Failed("broken"),
    Interrupted("cut"),
    TimedOut("first_token", 1),
    TimedOut("total", 1),
    Rejected("too long"),
    Overloaded("busy"),
    Overloaded("busy", 3.0),
    asyncio.CancelledError(),
    ValueError("ours"),
)
NEXT = {
    "closed": {"suspect", "ejected"},
    "suspect": {"closed", "ejected"},
    "ejected": {"probing", "slow_start", "closed"},
    "probing": {"ejected", "slow_start", "closed"},
    "slow_start": {"closed", "ejected"},
}
KINDS = ["send"] * 4 + ["answer"] * 2 + ["end"] * 6 + ["rest"] * 2
KINDS += ["row", "row", "flaky", "work", "work", "pause", "eject", "restore", "outside", "turn"]
number = st.integers(0, 99)
Step = tuple[str, int, int]
steps: st.SearchStrategy[list[Step]] = st.lists(
    st.tuples(
        st.sampled_from(KINDS),
        number,
        number,
    ),
    min_size=10,
    max_size=60,
)


class Story:
    """Plays steps on a stage; what they name is taken modulo what there is."""

    def __init__(self, replicas: int) -> None:
        self.stage = Stage(replicas)
        self.under_way: list[Sent] = []

    def play(self, kind: str, which: int, how: int) -> None:
        stage = self.stage
        replica = stage.replicas[which % len(stage.replicas)]
        if kind == "send":
            self._send(replica, how)
        elif kind == "rest":
            stage.rest((0.05, 0.5, 2.5, 13.0)[how % 4])
        elif kind == "work":
            self._work(replica, (None, 0.1, 0.4, 0.6)[how % 4])
        elif kind in ("row", "flaky"):
            self._fail(replica, ERRORS[how % len(ERRORS)], kind)
        elif kind in ("eject", "restore", "outside"):
            self._from_outside(replica, kind, how)
        elif kind == "turn":
            stage.pool.replace(reversed(stage.pool.replicas))
        elif self.under_way:
            self._go_on(self.under_way[which % len(self.under_way)], kind, how)

    def _go_on(self, notes: Sent, kind: str, how: int) -> None:
        if kind == "answer":
            self.stage.answer(notes)
        elif kind == "pause":
            notes.paused = not notes.paused
        else:
            self.under_way.remove(notes)
            for _ in range(1 + how // 50):
                self.stage.end(notes, ERRORS[how % len(ERRORS)])

    def _fail(self, replica: Replica, error: BaseException | None, kind: str) -> None:
        for call in range(3 if kind == "row" else 20):
            notes = self.stage.send(replica)
            if isinstance(error, Interrupted):
                self.stage.answer(notes)
            self.stage.end(notes, error if kind == "row" or call % 2 else None)

    def _work(self, replica: Replica, pace: float | None) -> None:
        """Five seconds in which all others answer in a tenth of one, and this one at its pace; None: not at all."""
        if pace is None:
            self.under_way += [self.stage.send(replica) for _ in range(3)]
        for _ in range(50):
            for each in self.stage.replicas:
                if each is not replica or pace is not None:
                    notes = self.stage.send(each)
                    each.active[notes] -= (pace or 0.0) if each is replica else 0.1  # sent before
                    self.stage.answer(notes)
                    self.stage.end(notes)
            self.stage.rest(0.1)

    def _from_outside(self, replica: Replica, kind: str, how: int) -> None:
        stage = self.stage
        if kind == "eject":
            stage.pool.eject(replica, None if how % 2 else 5.0)
        elif kind == "restore":
            stage.pool.restore(replica)
        else:
            replica.draining = how % 3 == 0
            replica.verdict = ("", "not ready")[how % 2]
            stage.pool.refresh()

    def _send(self, replica: Replica, how: int) -> None:
        """Where the pool says, mostly; and now and then where it would not."""
        try:
            self.under_way.append(self.stage.send(replica if how % 10 == 0 else None, [replica] if how % 4 else []))
        except NoReplica:
            serving = [each for each in self.stage.pool.replicas if not (each.draining or each.breaker.by_hand)]
            assert how % 4 or not serving, "a first request finds somebody if anybody is there"

    def check(self) -> None:
        """What is true at all times."""
        stage = self.stage
        pushing_back = [each for each in stage.replicas if each.breaker.push_back.share(stage.now) < 1]
        assert pushing_back or not stage.pool.saturated
        assert f"of {len(stage.replicas)} replicas" in repr(stage.pool)
        for replica in stage.replicas:
            breaker = replica.breaker
            sent = [notes for notes in self.under_way if notes.asked is replica]
            assert set(replica.active) == set(sent)
            assert replica.tokens == TOKENS * len(sent)
            assert breaker.state in repr(breaker)
            assert LEAST <= replica.weight <= 1
            assert breaker.state in NEXT
            assert breaker.probe is None or breaker.state == "probing"
            assert breaker.probe is None or breaker.probe in map(abs, replica.active.values())
            if breaker.state == "ejected" and not breaker.by_hand:
                assert breaker.until - breaker.since <= LONGEST * (1 + JITTER)


@given(st.integers(1, 4), steps)
def test_p09_whatever_happens(replicas: int, story: list[Step]) -> None:
    told = Story(replicas)
    for step in story:
        told.play(*step)
        told.check()
    for replica in told.stage.replicas:
        changes = [change for change in told.stage.changes if change.replica == replica.name]
        for change in changes:
            assert change.after in NEXT[change.before]
            assert change.reason
        assert all(earlier.after == later.before for earlier, later in pairwise(changes))
        assert replica.breaker.state == (changes[-1].after if changes else "closed")


@given(st.integers(1, 4), steps)
def test_p09_every_replica_that_works_again_is_back_some_time_later(replicas: int, story: list[Step]) -> None:
    told = Story(replicas)
    for step in story:
        told.play(*step)
    stage = told.stage
    for notes in told.under_way:
        stage.end(notes, asyncio.CancelledError())
    for replica in stage.replicas:
        replica.draining = False
        replica.verdict = ""
        if replica.breaker.by_hand:
            stage.pool.restore(replica)
    longest = max(replica.breaker.ejections for replica in stage.replicas)
    stage.skip(min(LONGEST, EJECTION * max(1, longest)) * (1 + JITTER) + 6)
    for _ in range(len(stage.replicas)):
        stage.call()
    assert not any(replica.breaker.out for replica in stage.replicas)
    stage.skip(31)
    assert {replica.breaker.state for replica in stage.replicas} == {"closed"}
    assert [replica.weight for replica in stage.replicas] == [1.0] * replicas


@given(st.integers(1, 4), steps)
def test_who_is_picked_may_be_asked(replicas: int, story: list[Step]) -> None:
    told = Story(replicas)
    for step in story:
        told.play(*step)
        told.stage.pool.refresh()
        serving = [each for each in told.stage.replicas if not (each.draining or each.breaker.by_hand)]
        try:
            picked = told.stage.pool.pick(NO_AFFINITY)
        except NoReplica:
            assert not serving
            continue
        assert picked in serving
        assert told.stage.pool.panicking or picked.breaker.state != "ejected"
