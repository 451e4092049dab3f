"""Who gets a place on a replica of a version at once, who waits for one, and who is told to come back later."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from itertools import islice
from math import inf
from random import Random
from typing import Final

from router.api import Affinity, NoReplica, Notes, Rank, Reason, Replica, Shed
from router.busy import load
from router.comebacks import Comebacks
from router.cost import Costs, Finished
from router.fair_queue import FairQueue
from router.pool import Ended, Pool
from router.ticket import Refusal, Terms, Ticket, fair_charge

PER_TOKEN: Final = 120e-6
"""Seconds of patience for each token of a prompt: under a flat limit long ones could never be served."""
MARGIN: Final = 0.8
"""Of the time that is left: what would take more is refused, as estimates may be wrong."""
PASSED: Final = 8
"""So many that come first may not fit, and be passed by one that does; all are not looked through each time."""
PATIENCE: Final = 0.25
"""Seconds for which the first may be passed; then a replica is kept free for it."""
AT_ONCE: Final = 256
"""Places given, or requests told that they are too late, before others have the event loop: some milliseconds' work."""
SHEDDING: Final = 1.0
"""Seconds since the last refusal for which nothing that can be left alone is done besides."""


class Admission:
    """In front of one version's pool, and kept as long. A place is the pool's charge: who has it owes a `left`.

    `pressed` is the set of all admissions in which somebody waits; this one keeps its own part of it current.
    """

    def __init__(
        self, pool: Pool, terms: Terms, clock: Callable[[], float], random: Random, pressed: set[Admission]
    ) -> None:
        self.pool = pool
        self.terms = terms
        self.costs = Costs(clock, terms.prices)
        self.queue: FairQueue[Ticket] = FairQueue(terms.bounds)
        self.refused: Counter[tuple[Reason, Rank]] = Counter()
        self._clock = clock
        self._random = random
        self._pressed = pressed
        self._refused_at = -SHEDDING
        self._comebacks = Comebacks()
        self._reserved_for: Ticket | None = None

    def __repr__(self) -> str:
        return f"<Admission {len(self.queue)} waiting, {self.refused.total()} refused, {self.pool!r}>"

    def enter(self, notes: Notes, affinity: Affinity) -> Replica | None:
        """A place at once; None: others wait, or there is no room. Raises NoReplica."""
        pool = self.pool
        if pool.freed is not None:
            return None
        replica = pool.place(notes, affinity)
        if replica is not None:
            pool.sent(replica, notes)
        return replica

    async def turn(self, notes: Notes, affinity: Affinity, deadline: float) -> Replica:
        """A place, when it is this one's turn. Raises Shed or NoReplica; who leaves, or is cancelled, has none."""
        now = self._clock()
        patience = min(self.patience(notes.rank, notes.prompt), deadline - now - self.costs.prefill(notes.prompt))
        refusal = self.refusal(notes.rank, notes.tenant, notes.weight, patience, notes.body_bytes)
        # Who would fit may pass those that don't, so that what waits before it tells nothing.
        if refusal and (refusal.reason != "too_long" or self.pool.place(notes, affinity) is None):
            raise self.shed(refusal, notes.rank, notes.tenant, notes.weight)
        ticket = Ticket(notes, affinity, now + patience)
        self.queue.add(ticket)
        try:
            self.serve()
            return await ticket.turn
        except BaseException as error:
            self._withdraw(ticket, error)
            raise
        finally:
            notes.queued += self._clock() - now

    def patience(self, rank: Rank, prompt: int) -> float:
        """Seconds for which a request with a prompt of so many tokens may wait."""
        return self.terms.start_within[rank] + PER_TOKEN * prompt

    def refusal(self, rank: Rank, tenant: str, weight: int, patience: float, size: int = 0) -> Refusal | None:
        """Why a request that came now, and can wait for so many seconds, would get no place in time."""
        wait = self.wait(rank, tenant, weight, self._clock() + patience)
        if full := self.queue.room(tenant, size, rank):
            return Refusal(full, wait)
        if wait is not None and wait > MARGIN * patience:
            return Refusal("too_long", wait)
        return None

    def wait(self, rank: Rank, tenant: str, weight: int, due: float = inf) -> float | None:
        """Seconds until a request that came now, and is due then, would have a place, as far as that can be told."""
        return self.seconds(self.queue.ahead(rank, tenant, weight, due))

    def seconds(self, work: float) -> float | None:
        """In which so much work gets its places; None: nothing has ended yet, so who knows.

        Each place that is taken gets work done at the pace of late.
        """
        held = self.costs.held_per_work
        if held is None:
            return None
        return work * held / (self.pool.in_flight or 1)

    def shed(self, refusal: Refusal, rank: Rank, tenant: str, weight: int) -> Shed:
        """Count it; to be raised. Where no wait can be foreseen, it is taken for as long as one may be."""
        reason, wait = refusal
        self.refused[reason, rank] += 1
        now = self._refused_at = self._clock()
        self.pool.shedding = True
        if wait is None:
            wait = self.terms.start_within[rank]
        takes = self.seconds(self.queue.apiece(rank, tenant, weight)) or 0.0
        wait = self._comebacks.book(rank, tenant, now, wait, takes)
        return Shed(reason, wait * (1 + self._random.random()))

    def replace(self, replicas: Iterable[Replica], terms: Terms) -> None:
        """Others from now on; who waits, goes on waiting for them."""
        if terms != self.terms:
            self.terms = terms
            self.queue.bounds = terms.bounds
        self.pool.replace(replicas)
        self.serve()

    def refresh(self) -> None:
        """What time changes; some ten times a second."""
        self.pool.refresh()
        now = self._clock()
        self._learn()
        for ticket in self.queue.expire(now, AT_ONCE):
            rank = ticket.notes.rank
            tenant, weight = ticket.tenant, ticket.weight
            refusal = Refusal("too_late", self.wait(rank, tenant, weight))
            self._refuse(ticket, self.shed(refusal, rank, tenant, weight))
        self._comebacks.forget(now)
        self.pool.shedding = now < self._refused_at + SHEDDING
        self.serve()

    def serve(self) -> None:
        """Give out places to those whose turn it is, as long as there are any."""
        pool, queue = self.pool, self.queue
        try:
            for _ in range(AT_ONCE):
                if not len(queue) or pool.is_full() or not self._grant():
                    break
        except NoReplica:
            while ticket := next(queue.heads(), None):
                queue.discard(ticket)
                self._refuse(ticket, NoReplica())
        if len(queue):
            pool.freed = self.serve
            self._pressed.add(self)
        else:
            pool.freed = None
            self._pressed.discard(self)

    def _grant(self) -> bool:
        """One place, to the first for whom there is one; False: there is none. Raises NoReplica."""
        for number, ticket in enumerate(islice(self.queue.heads(), PASSED)):
            if ticket.turn.done():  # its client has left, and it is about to say so
                self._discard(ticket)
                return True
            replica = self._place(ticket)
            if replica is not None:
                self.queue.take(ticket)
                self._settle_reservation(ticket)
                self.pool.sent(replica, ticket.notes)
                ticket.turn.set_result(replica)
                return True
            if number == 0:
                self._hold_up(ticket)
        return False

    def _place(self, ticket: Ticket) -> Replica | None:
        """Replicas are kept free from those of its own class and below only."""
        pool, holder = self.pool, self._reserved_for
        if holder is None or (ticket is not holder and ticket.rank >= holder.rank):
            return pool.place(ticket.notes, ticket.affinity)
        kept, pool.reserved = pool.reserved, None
        try:
            return pool.place(ticket.notes, ticket.affinity)
        finally:
            pool.reserved = kept

    def _hold_up(self, ticket: Ticket) -> None:
        """It comes first and does not fit: others may pass it, but not for long."""
        pool, now = self.pool, self._clock()
        if not ticket.passed_since:
            ticket.passed_since = now
        if pool.reserved is not None and pool.asks(pool.reserved):
            return
        if now - ticket.passed_since >= PATIENCE:
            self._reserved_for = ticket
            pool.reserve(min(filter(pool.asks, pool.replicas), key=load, default=None), ticket.notes)

    def _settle_reservation(self, ticket: Ticket) -> None:
        if ticket is self._reserved_for:
            self._reserved_for = self.pool.reserved = None

    def _discard(self, ticket: Ticket) -> None:
        self.queue.discard(ticket)
        self._settle_reservation(ticket)

    def _withdraw(self, ticket: Ticket, error: BaseException) -> None:
        """Whoever waited does not any more: if its turn came in the same moment, it is over."""
        turn = ticket.turn
        if turn.done() and not turn.cancelled() and turn.exception() is None:
            self.pool.left(turn.result(), ticket.notes, error)
        else:
            self._discard(ticket)
            self.serve()

    def _refuse(self, ticket: Ticket, error: Exception) -> None:
        self._settle_reservation(ticket)
        if not ticket.turn.done():
            ticket.turn.set_exception(error)

    def _learn(self) -> None:
        ended = self.pool.ended
        if not ended:
            return
        self.pool.ended = []
        self.costs.learn([_finished(each) for each in ended])
        for notes, *_ in ended:
            if notes.queued and notes.prompt_tokens:
                used = fair_charge(notes.prompt_tokens, notes.completion_tokens)
                charged = fair_charge(notes.prompt, notes.tokens - notes.prompt)
                self.queue.settle(notes.tenant, notes.rank, notes.weight, used - charged)


def _finished(ended: Ended) -> Finished:
    notes, replica, sent, left, beside = ended
    output = notes.completion_tokens // notes.answers
    return Finished(
        tenant=notes.tenant,
        replica=replica.name,
        prompt=notes.prompt_tokens,
        output=output,
        capped=0 < notes.output_cap <= output,
        exact=notes.usage_exact,
        body=notes.text_bytes,
        begun=max(0.0, notes.first_at - sent),
        held=left - sent,
        whole=notes.whole,
        beside=beside,
        work=notes.work,
    )
