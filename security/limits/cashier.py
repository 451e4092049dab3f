"""What the store is told and asked about money alone; how long money is spent without it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace

from security.limits import readings, script
from security.limits.api import Cost, Decision, LimitsAway, Quota
from security.limits.budget import Budget, Ledger
from security.limits.limiter import AWAY
from security.limits.line import Line
from security.limits.spending import costs

GRACE = 60.0

_NOTHING = Decision(0, (), (), ())


@dataclass(slots=True)
class _Debt:
    """What requests owe a budget that ended here while the store was away; the last did so `until` then."""

    tenant: str
    budget: Budget
    money: int = 0
    until: int = 0


class Cashier:
    """Beside a limiter over `line`. `wall` gives Unix time, `grace` is in seconds."""

    def __init__(
        self, line: Line, ledger: Ledger = readings.unknown, wall: Callable[[], float] = time.time, grace: float = GRACE
    ) -> None:
        self._line = line
        self._readings = readings.Readings(ledger, wall)
        self._grace = grace
        self._debts: dict[str, _Debt] = {}
        self._lent: dict[str, tuple[Quota, int]] = {}
        self._told: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Cashier by {self._readings!r}, {self._grace:g} s without the store>"

    def now(self) -> int:
        """Unix time in microseconds."""
        return self._readings.now()

    def check(self, quota: Quota) -> None:
        """Raises LimitsAway once the store has been away for so long that no budget is to be spent any more."""
        if not self._line.trouble or asyncio.get_running_loop().time() - self._line.since < self._grace:
            return
        if any(budget.enforce for budget in quota.budgets):
            raise LimitsAway(AWAY)

    async def learn(self, budget: Budget) -> None:
        """Tell the store what is written down of it. Raises LimitsAway and Away."""
        await self._line.ask(script.know(budget, await self._readings.of(budget)))

    async def learn_all(self, quota: Quota) -> None:
        """The same of all budgets, as far as the ledger can be asked. Raises Away."""
        with suppress(LimitsAway):
            for budget in quota.budgets:
                await self.learn(budget)

    def pay(  # as settle, and when
        self, quota: Quota, decision: Decision, actual: Cost, name: str, now: int, began: int
    ) -> None:
        """A reservation made there has ended; `began`: when it had been made."""
        self._line.tell(script.pay(quota, decision, actual, name, now, (began, self.now())))

    def lend(self, name: str, quota: Quota, money: int) -> None:
        """So much is held here alone; the store is told once it is back, if it is held then still."""
        self._lent[name] = quota, money

    def owe(self, name: str, quota: Quota, alone: Decision, actual: Cost) -> None:
        """What was reserved here alone: its budgets are charged, together once the store is back if it is away."""
        self._lent.pop(name, None)
        began = self._told.pop(name, None)
        if began is not None:
            held = Decision(0, (), (), (), money=alone.money)
            self.pay(Quota(quota.tenant, budgets=quota.budgets), held, actual, name, 0, began)
            return
        if not self._line.trouble:
            self.pay(Quota(quota.tenant, budgets=quota.budgets), _NOTHING, actual, name, 0, 0)
            return
        for budget in quota.budgets:
            debt = self._debts.setdefault(budget.key, _Debt(quota.tenant, budget))
            debt.money += costs(actual)
            debt.until = self.now()

    def settle_up(self, mint: Callable[[], str]) -> None:
        """The store is back, or it is the end. `mint` gives names that nobody else gives."""
        for name, (quota, money) in self._lent.items():
            budgets = tuple(replace(budget, enforce=False) for budget in quota.budgets)  # it is so already
            self._told[name] = self.now()
            self._line.tell(script.reserve(Quota(quota.tenant, budgets=budgets), (), (), name, 0, money))
        self._lent.clear()
        debts, self._debts = self._debts, {}
        for debt in debts.values():
            owed = Cost(0, money=debt.money)
            quota, lasted = Quota(debt.tenant, budgets=(debt.budget,)), (0, debt.until)
            self._line.tell(script.pay(quota, _NOTHING, owed, mint(), 0, lasted))
