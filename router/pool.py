"""The replicas of one version: who may be asked now, for how much, and what came of it."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable
from math import inf
from random import Random
from typing import NamedTuple

from engines.api import EngineError, Overloaded, TimedOut
from router.api import Affinity, NoReplica, Notes, Policy, Replica
from router.breaker import State
from router.busy import listen
from router.events import Change, ignore
from router.judging import WAITING, Usual, paces
from router.limits import UNSAID, Room, has_room
from router.outcomes import judge
from router.retries import RetryBudget
from router.standing import Standing

SAMPLED = 32
"""Requests between two refreshes from whose ends is learnt: some hundreds a second are enough."""


class Ended(NamedTuple):
    """A request that has had a place on a replica, from when to when (loop seconds)."""

    notes: Notes
    replica: Replica
    sent: float
    left: float
    beside: int
    """Requests that the replica was busy with until then, with this one."""


class Pool:
    """Charges a replica when a request is sent, uncharges and judges it when it ends; a call is known by its notes.

    `clock` is the loop's (seconds), as are the times in notes. What is written on a replica from outside (its verdict,
    `draining`) counts from the next `refresh` on. `tell` hears each change of a replica's state once.
    """

    def __init__(
        self,
        name: str,
        replicas: Iterable[Replica],
        policy: Policy,
        clock: Callable[[], float],
        random: Random,
        tell: Callable[[Change], None] = ignore,
    ) -> None:
        self.name = name
        self.replicas: tuple[Replica, ...] = ()
        self.retries = RetryBudget(clock)
        """What may be tried again, of this version's own work: an outage of others takes nothing from it."""
        self.policy = policy
        self.capacity = UNSAID
        """What was set for each of its replicas, over what their engines say."""
        self.largest_prompt = inf
        """Tokens, by estimate, beyond which no replica could ever hold a prompt."""
        self.reserved: Replica | None = None
        """Gets nothing new but what it is reserved for, and what fits beside that: see `reserve`."""
        self._spare = Room(0, 0.0, 0.0)  # of its limits, beside what it is reserved for and what came since
        self.freed: Callable[[], None] | None = None
        """Is called when there may be room again; None: nobody waits for it."""
        self.shedding = False
        """Whether requests are being turned away for want of it."""
        self.ended: list[Ended] = []
        """Some of the requests that have ended, but not by failing before they began; for who learns from them."""
        self._clock = clock
        self._random = random
        self._tell = tell
        self._usual = Usual()
        self._standing = Standing()
        self.replace(replicas)

    def __repr__(self) -> str:
        return (
            f"<Pool {self.name}: {len(self._standing.candidates)} of {len(self.replicas)} replicas may be asked"
            f"{', panicking' if self.panicking else ''}>"
        )

    @property
    def panicking(self) -> bool:
        """Whether all are asked, ejected or not, because too few would be left."""
        return self._standing.panicking

    @property
    def saturated(self) -> bool:
        """Whether one more attempt would only add to what is too much already: for us, or for every replica."""
        if self.shedding:
            return True
        now = self._clock()
        candidates = self._standing.candidates
        return bool(candidates) and all(replica.breaker.push_back.share(now) < 1 for replica in candidates)

    @property
    def heeds_affinity(self) -> bool:
        """Whether who picks has to tell one."""
        return self.policy.heeds_affinity

    @property
    def in_flight(self) -> int:
        """Requests under way on those that may be asked."""
        return sum(len(replica.active) for replica in self._standing.candidates)

    def asks(self, replica: Replica) -> bool:
        """Whether it may get work now, ready or not."""
        return replica in self._standing.candidates or replica in self._standing.awaiting

    def pick(self, affinity: Affinity, asked: Collection[Replica] = ()) -> Replica:
        """One that may be asked; not one of those that were `asked` for this request. Raises NoReplica."""
        if asked:
            return self._pick_another(affinity, asked)
        for replica in self._standing.awaiting:
            if replica.breaker.out or len(replica.active) < WAITING:
                return replica
        candidates = self._standing.candidates
        if len(candidates) == 1:
            return candidates[0]
        if not candidates:
            raise NoReplica
        return self.policy.pick(candidates, affinity)

    def place(self, notes: Notes, affinity: Affinity, asked: Collection[Replica] = ()) -> Replica | None:
        """As `pick`, but one that has room for it; None: all are full. Raises NoReplica."""
        replica = self.pick(affinity, asked)
        is_probe = replica.breaker.out and replica in self._standing.awaiting
        if is_probe or self._takes(replica, notes):
            return replica
        free = [other for other in self._standing.candidates if other not in asked and self._takes(other, notes)]
        return self.policy.pick(free, affinity) if free else None

    def reserve(self, replica: Replica | None, notes: Notes) -> None:
        """Keep so much of it free that this request fits once what is there now has ended; None: of none."""
        self.reserved = replica
        if replica is not None:
            requests, prompts, tokens = replica.room[notes.rank]
            self._spare = Room(requests - 1, prompts - notes.prompt, tokens - notes.tokens)

    def is_full(self) -> bool:
        """Whether no replica would take even the least of requests."""
        standing = self._standing
        if standing.awaiting or not standing.candidates:
            return False
        for replica in standing.candidates:  # noqa: SIM110  # all() would cost as much as the rest of a refusal
            if len(replica.active) < replica.room[0].requests:
                return False
        return True

    def sent(self, replica: Replica, notes: Notes) -> None:
        """Charge it; every call that was sent has to be told to `left`."""
        now = self._clock()
        replica.active[notes] = now
        replica.tokens += notes.tokens
        replica.prompts += notes.prompt
        replica.calls += 1
        if replica is self.reserved:
            requests, prompts, tokens = self._spare
            self._spare = Room(requests - 1, prompts - notes.prompt, tokens - notes.tokens)
        if replica.breaker.state == "probing":
            replica.breaker.sent(now)
            self._standing.arrange(self.replicas, now)

    def answered(self, replica: Replica, notes: Notes) -> None:
        """Its first content is here."""
        sent = replica.active.get(notes, -1.0)
        if sent < 0:
            return
        now = self._clock()
        replica.active[notes] = -sent
        replica.prompts -= notes.prompt
        compared: float | None = now - sent
        if notes.whole:
            self._usual.note_whole(now - sent)
            compared = None
        breaker = replica.breaker
        state = breaker.state
        if reason := breaker.answered(now, sent, compared):
            self._changed(replica, state, reason, now)
        if self.freed is not None:
            self.freed()

    def left(self, replica: Replica, notes: Notes, error: BaseException | None) -> None:
        """Uncharge it and judge it by `error`; None is a whole answer. A second time, nothing happens."""
        sent = replica.active.pop(notes, None)
        if sent is None:
            return
        now = self._clock()
        self._uncharge(replica, notes, sent)
        if len(self.ended) < SAMPLED and (sent < 0 or not isinstance(error, EngineError)):
            self.ended.append(Ended(notes, replica, abs(sent), now, len(replica.active) + 1))
        breaker = replica.breaker
        if error is None and sent < 0 and not (breaker.out or breaker.cuts):  # as nearly all do
            if not notes.whole:  # whose first content was just now
                breaker.life = now
        else:
            before = breaker.state
            reason = breaker.finished(now, abs(sent)) if error is None else self._judge(replica, abs(sent), error, now)
            if reason or before == "probing":
                self._changed(replica, before, reason, now)
        if self.freed is not None:
            self.freed()

    def refresh(self) -> None:
        """What time, the others and its engine tell of each; some ten times a second."""
        now = self._clock()
        listen(self.replicas)
        self.largest_prompt = self._standing.heed(self.replicas, self.capacity)
        self._usual.note_first(self.replicas)
        for replica, pace in zip(self.replicas, paces(self.replicas), strict=True):
            breaker = replica.breaker
            before = breaker.state
            reason = breaker.tick(now) or breaker.compare(now, pace, self._random) or self._stall(replica, now)
            if reason:
                self._note(replica, before, reason, now)
        self._standing.doubted = [it for it in self.replicas if self._usual.doubts(it, self.replicas, now)]
        self._standing.arrange(self.replicas, now)

    def replace(self, replicas: Iterable[Replica]) -> None:
        """Others from now on. Calls under way on those that are gone are told to this pool all the same."""
        now = self._clock()
        self.replicas = tuple(replicas)
        for replica in self.replicas:
            replica.breaker.outcomes.turn(now)
        self.largest_prompt = self._standing.heed(self.replicas, self.capacity, anew=True)
        self._standing.arrange(self.replicas, now)

    def eject(self, replica: Replica, seconds: float | None) -> None:
        """By hand: it is not asked, panic or not, for so long; None: until it is restored."""
        now = self._clock()
        before = replica.breaker.state
        self._changed(replica, before, replica.breaker.eject_by_hand(now, seconds), now)
        self._free()

    def restore(self, replica: Replica) -> None:
        """Back into service by hand: at once if a person had ejected it, else by a slow start."""
        now = self._clock()
        before = replica.breaker.state
        self._changed(replica, before, replica.breaker.restore(now), now)
        self._free()

    def _takes(self, replica: Replica, notes: Notes) -> bool:
        if replica is self.reserved:
            requests, prompts, tokens = self._spare
            if requests < 1 or prompts < notes.prompt or tokens < notes.tokens:
                return False
        return has_room(replica, notes)

    def _free(self) -> None:
        if self.freed is not None:
            self.freed()

    def _uncharge(self, replica: Replica, notes: Notes, sent: float) -> None:
        replica.tokens -= notes.tokens
        if sent >= 0:
            replica.prompts -= notes.prompt

    def _pick_another(self, affinity: Affinity, asked: Collection[Replica]) -> Replica:
        others = [replica for replica in self._standing.candidates if replica not in asked]
        if others:
            return self.policy.pick(others, affinity)
        for replica in self._standing.awaiting:
            if replica not in asked:
                return replica
        raise NoReplica

    def _judge(self, replica: Replica, sent: float, error: BaseException, now: float) -> str:
        breaker = replica.breaker
        if isinstance(error, EngineError):
            replica.failures[type(error)] += 1
        judgement = judge(error)
        if judgement == "healthy":
            return breaker.rejected(now, sent)
        if judgement == "ignored":
            breaker.ignored(sent)
            return ""
        reason = ""
        if isinstance(error, Overloaded):
            breaker.pushed_back(now, sent, error.retry_after)
        else:
            if isinstance(error, TimedOut) and error.phase == "connect":
                breaker.unconnected(now, sent)
            reason = breaker.failed(now, sent, self._random, cut=judgement == "cut")
        self._standing.weigh(replica, now)
        return reason

    def _stall(self, replica: Replica, now: float) -> str:
        silent = self._usual.stalls(replica, self.replicas, now)
        return replica.breaker.stalled(now, silent, self._random) if silent else ""

    def _changed(self, replica: Replica, before: State, reason: str, now: float) -> None:
        self._note(replica, before, reason, now)
        self._standing.arrange(self.replicas, now)

    def _note(self, replica: Replica, before: State, reason: str, now: float) -> None:
        after = replica.breaker.state
        if after != before:
            self._tell(Change(now, replica.name, before, after, reason))
