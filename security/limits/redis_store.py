"""Limits of many gateways together, in one Redis or Valkey: one question for each request, and none at its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from random import Random

from msgspec.structs import replace

from security.limits import script
from security.limits.api import SECOND, Cost, Decision, LimitsAway, OverLimit, Quota, Reservation, key
from security.limits.cashier import Cashier
from security.limits.denials import Denials
from security.limits.gcra import SLOT_WAIT, charges, owes, refuse_misfits
from security.limits.going import goes_on
from security.limits.known import Known
from security.limits.leases import Leases, together
from security.limits.limiter import AWAY, Levels
from security.limits.line import RETRY, Away, Line
from security.limits.shares import Shares
from security.limits.spending import costs

BEAT = script.LASTS / 3
"""Seconds between two renewals of what is held."""
COUNT = 1.0
"""Seconds between two counts of the gateways: each sees those only that have said that they are there."""
GATEWAYS = key("gateways", "here")
"""Where those that are there say so."""


class RedisLimiter:
    """A Limiter over `line`. `mint` gives names that no other gateway gives; the first one is this gateway's own.

    `clock` is monotonic, in seconds; `cashier` is of the same line. `time`: what time a test says it is in the store.
    """

    def __init__(
        self,
        line: Line,
        mint: Callable[[], str],
        clock: Callable[[], float],
        random: Random,
        cashier: Cashier,
        time: Callable[[], float] = lambda: 0.0,
    ) -> None:
        self._line = line
        self._cashier = cashier
        self._mint = mint
        self._time = time
        self._self = mint()
        self._known = Known(clock)
        self._denials = Denials(self._known, random)
        self._leases = Leases(self._known)
        self._shares = Shares(self._known, clock)
        self._alone = False
        self._outages = 0
        self._beat_at = 0
        self._count_at = 0
        self._counted = 0
        self._held: dict[str, set[str]] = {}

    def __repr__(self) -> str:
        return f"<RedisLimiter {self._line!r}, {self._shares!r}, {len(self._held)} slots' keys>"

    @property
    def trouble(self) -> str:
        return self._line.trouble

    def take(self, quota: Quota, cost: Cost) -> Reservation | None:
        if self._line.trouble:
            return self._take_alone(quota, cost)
        asked = charges(quota, cost)
        decision = self._leases.take(quota, asked)
        if decision is not None:
            return Reservation(quota, decision, self._end_leased)
        self._denials.check(quota, asked, cost.money)
        return None

    async def reserve(self, quota: Quota, cost: Cost) -> Reservation:
        asked = charges(quota, cost)
        refuse_misfits(quota, asked)
        name, now = self._mint(), self._now()
        advance = self._leases.wanted(quota, asked, self._shares.gateways)
        try:
            call = script.reserve(quota, asked, advance, name, now, cost.money)
            while (reply := await self._line.ask(call))[0] == script.UNREAD:
                await self._cashier.learn(quota.budgets[reply[1] - 1])
        except Away as away:
            if not away.unsent:
                self._line.tell(script.take_back(quota, asked, name, now, cost.money))
            return self._take_alone(quota, cost)
        except asyncio.CancelledError:
            self._line.tell(script.take_back(quota, asked, name, now, cost.money))
            raise
        finally:
            self._leases.answered(quota, advance)
        decision, granted = script.decision(quota, asked, reply, cost.money)
        self._known.note(quota, decision)
        if decision.refused_by is not None:
            wait = self._denials.note(decision, self._leases.gather(quota, decision))
            leased = self._leases.draw(quota, asked)  # of what was taken in advance by who asked before it
            if leased is None:
                raise OverLimit(quota, replace(decision, wait=wait))
            return Reservation(quota, leased, self._end_leased)
        if granted:  # what it pays is taken in advance like the rest, and what it leaves is the next one's here
            self._leases.grant(quota, granted)
            return Reservation(quota, decision, self._end_leased)
        self._hold(decision, name)
        end = partial(self._pay, name, self._cashier.now()) if quota.budgets else partial(self._end, name)
        return Reservation(quota, decision, end)

    async def levels(self, quota: Quota) -> Levels:
        """What gateways have taken in advance is no longer there."""
        try:
            await self._cashier.learn_all(quota)
            reply = await self._line.ask(script.levels(quota, self._now()))
        except Away:
            return self._shares.levels(quota, [len(self._held.get(slots.key, ())) for slots in quota.slots])
        return script.told(quota, reply, self._shares.gateways)

    async def start(self) -> None:
        """Knows after that how many gateways there are, or that the store is away."""
        while not await self.beat() and not self._line.trouble:
            pass

    async def watch(self) -> None:
        async with asyncio.TaskGroup() as tasks:
            tasks.create_task(self._line.run())
            tasks.create_task(self._line.follow())
            tasks.create_task(self._look_on())

    async def aclose(self) -> None:
        self._charge(self._leases.give_back(self._shares.gateways, all_of_it=True))
        self._charge(self._shares.debts())
        self._cashier.settle_up(self._mint)
        await self._line.aclose()

    async def beat(self) -> bool:
        """Say that this gateway is there, and renew what it holds; False if the store is away."""
        outages = self._line.outages
        held = {slots: tuple(names) for slots, names in self._held.items()}
        try:
            answered = await self._say_here(held)
        finally:
            self._free_anew(held)
        if answered and not self._line.trouble:  # else it is too slow yet to be asked
            self._outages, self._beat_at = outages, self._known.now() + round(BEAT * SECOND)
        return answered

    async def look(self) -> None:
        """Renew in time, find out that the store is back, settle up; to be called some times a second."""
        if self._outages < self._line.outages or self._known.now() >= self._beat_at:
            await self.beat()
        elif self._known.now() >= self._count_at:
            await self._say_here({})
        self._charge(self._leases.give_back(self._shares.gateways))
        if self._line.sound:
            self._cashier.settle_up(self._mint)
        if self._alone and self._line.sound:
            self._alone = False
            for debts in script.portions(self._shares.debts()):
                self._charge(debts)
                await self._line.flush()

    async def _say_here(self, held: Mapping[str, Collection[str]]) -> bool:
        now = self._now()
        try:
            counts = await self._line.ask_patiently([script.beat(GATEWAYS, [self._self], now)])
            for some in script.portions(held.items()):
                await self._line.ask_patiently([script.beat(slots, names, now) for slots, names in some])
        except Away:
            return False
        before, self._counted = self._counted, counts[0]
        self._shares.gateways = max(1, before, self._counted)  # a store that forgot all is told anew by each in between
        self._count_at = self._known.now() + round(COUNT * SECOND)
        return True

    async def _look_on(self) -> None:
        while goes_on():
            await asyncio.sleep(RETRY)
            await self.look()

    def _free_anew(self, renewed: Mapping[str, Collection[str]]) -> None:
        """What was let go of while it was renewed, lest the store has heard of it in the other order."""
        for slots, names in renewed.items():
            gone = [name for name in names if name not in self._held.get(slots, ())]
            if gone:
                self._line.tell(script.free(slots, gone))

    def _take_alone(self, quota: Quota, cost: Cost) -> Reservation:
        if quota.mode == "closed":
            raise LimitsAway(AWAY)
        if quota.budgets:
            self._cashier.check(quota)
        if quota.mode == "open":
            nothing = Decision(0, [0] * len(quota.buckets), [None] * len(quota.buckets), ())
            return Reservation(quota, nothing, partial(self._cashier.owe, self._mint()) if quota.budgets else None)
        for slots in quota.slots:
            if slots.enforce and len(self._held.get(slots.key, ())) >= max(1, slots.limit // self._shares.gateways):
                raise OverLimit(quota, Decision(0, [0] * len(quota.buckets), (), (), (), slots, SLOT_WAIT))
        self._alone = True
        mine = self._shares.take(quota, cost)
        decision = replace(mine.decision, held=quota.slots)
        name = self._mint()
        self._hold(decision, name)
        if quota.budgets:
            self._cashier.lend(f"{name}-money", quota, decision.money)
        return Reservation(mine.quota, decision, partial(self._end_alone, name, mine))

    def _end(self, name: str, quota: Quota, decision: Decision, actual: Cost) -> None:
        owed = owes(quota, actual)
        self._line.tell(script.settle(quota, decision.paid, owed, name, self._now()))
        self._known.settle(quota, decision, owed)
        self._let_go(decision, name)

    def _pay(self, name: str, began: int, quota: Quota, decision: Decision, actual: Cost) -> None:
        self._cashier.pay(quota, decision, actual, name, self._now(), began)
        self._known.settle(quota, decision, owes(quota, actual), costs(actual))
        self._let_go(decision, name)

    def _end_leased(self, quota: Quota, decision: Decision, actual: Cost) -> None:
        self._charge(self._leases.end(quota, decision, actual))

    def _charge(self, debts: Iterable[tuple[Quota, int]]) -> None:
        for quota, micros in together(debts):
            self._line.tell(script.charge(quota, micros, self._mint(), self._now()))

    def _end_alone(self, name: str, mine: Reservation, quota: Quota, decision: Decision, actual: Cost) -> None:
        mine.settle(actual)
        self._charge(self._shares.late())
        if quota.budgets:
            self._cashier.owe(f"{name}-money", quota, decision, actual)
        if decision.held:  # the store knows of them, if it came back meanwhile
            self._line.tell(script.settle(Quota(quota.tenant, (), tuple(decision.held)), (), (), name, self._now()))
        self._let_go(decision, name)

    def _hold(self, decision: Decision, name: str) -> None:
        for slots in decision.held:
            self._held.setdefault(slots.key, set()).add(name)

    def _let_go(self, decision: Decision, name: str) -> None:
        self._denials.lift(decision.held)
        for slots in decision.held:
            names = self._held[slots.key]
            names.discard(name)
            if not names:
                del self._held[slots.key]

    def _now(self) -> int:
        return round(self._time() * SECOND)
