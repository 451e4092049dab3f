"""A pool in virtual time, with calls that end when and how a test says."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from random import Random

from engines.api import Surroundings, Timers
from engines.scripted import ScriptedEngine, ScriptedOptions
from engines.sweeper import Sweeper
from router.api import NO_AFFINITY, Affinity, Policy, Replica
from router.breaker import State
from router.events import Change
from router.pool import Pool
from tests.support.gates import Noted

TICK = 0.1
TOKENS = 100
"""Of each call."""


class Sent(Noted):
    """Notes of one call."""

    def __init__(self, replica: Replica, *, whole: bool = False) -> None:
        super().__init__(TOKENS, whole=whole)
        self.attempts = 1
        self.replica = replica.name
        self.asked = replica


class LightestFirst:
    """Fewest tokens per weight, the new call's included; equals in turn."""

    heeds_affinity = False

    def __init__(self) -> None:
        self._turn = 0

    def pick(self, replicas: Sequence[Replica], affinity: Affinity) -> Replica:
        self._turn += 1
        turned = [replicas[(at + self._turn) % len(replicas)] for at in range(len(replicas))]
        return min(turned, key=lambda replica: (replica.tokens + TOKENS) / replica.weight)


class Stage:
    """Replicas `r0`, `r1`, ... in a pool; everything takes place at `now`, which only `rest` moves on."""

    def __init__(self, count: int, policy: Policy | None = None, seed: int = 1) -> None:
        self.now = 1000.0
        self.changes: list[Change] = []
        engine = ScriptedEngine(ScriptedOptions(), Surroundings(Sweeper(), Timers()))
        self.replicas = [Replica(f"r{number}", engine) for number in range(count)]
        chooser = policy or LightestFirst()
        self.pool = Pool("m", self.replicas, chooser, lambda: self.now, Random(seed), self.changes.append)

    def rest(self, seconds: float) -> None:
        """With a sweep at each tenth of a second, and one at its end."""
        end = self.now + seconds
        while self.now < end:
            self.now = min(end, self.now + TICK)
            self.pool.refresh()

    def skip(self, seconds: float) -> None:
        """With one sweep at its end, as after a standstill."""
        self.now += seconds
        self.pool.refresh()

    def send(self, replica: Replica | None = None, asked: Collection[Replica] = (), *, whole: bool = False) -> Sent:
        """To this replica, or to the one that is picked."""
        chosen = replica or self.pool.pick(NO_AFFINITY, asked)
        notes = Sent(chosen, whole=whole)
        self.pool.sent(chosen, notes)
        return notes

    def answer(self, notes: Sent) -> None:
        """First content, or more of it."""
        self.pool.answered(notes.asked, notes)
        notes.last_at = self.now

    def end(self, notes: Sent, error: BaseException | None = None) -> None:
        self.pool.left(notes.asked, notes, error)

    def call(self, replica: Replica | None = None, error: BaseException | None = None) -> Replica:
        """One that takes no time."""
        notes = self.send(replica)
        if error is None:
            self.answer(notes)
        self.end(notes, error)
        return notes.asked

    def eject(self, replica: Replica, error: BaseException) -> None:
        """By failures in a row."""
        for _ in range(3):
            self.call(replica, error)

    def picks(self, count: int = 40) -> set[Replica]:
        """Who is asked, over so many calls that stay under way until all are sent."""
        sent = [self.send() for _ in range(count)]
        for notes in sent:
            self.end(notes, GeneratorExit())
        return {notes.asked for notes in sent}

    def told(self, replica: Replica) -> list[State]:
        """The states it has come into, in order."""
        return [change.after for change in self.changes if change.replica == replica.name]
