"""What has been spent of budgets, in the memory of this process."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping, Sequence
from itertools import islice

from security.limits.api import Cost, Decision, Quota
from security.limits.budget import Budget
from security.limits.limiter import Unread
from security.limits.spending import costs

KEPT = 86_400
"""Seconds for which a budget is kept after its period has ended: what began in it may still be settled."""
LOOKED_AT = 2
"""Budgets that each new one has looked at, whether they are to be kept."""


class Purse:
    """Millionths that are spent or held, of each budget that it was told of."""

    def __init__(self) -> None:
        self._spent: OrderedDict[str, int] = OrderedDict()
        self._kept_until: dict[str, int] = {}

    def __repr__(self) -> str:
        return f"<Purse of {len(self._spent)} budgets>"

    def spent(self, quota: Quota) -> Sequence[int]:
        """Of each of its budgets. Raises Unread."""
        try:
            return [self._spent[budget.key] for budget in quota.budgets]
        except KeyError:
            raise Unread from None

    @property
    def levels(self) -> Mapping[str, int]:
        """By the keys of budgets."""
        return self._spent

    def level(self, budget: Budget) -> int | None:
        """None: nothing is counted of it yet."""
        return self._spent.get(budget.key)

    def unknown(self, quota: Quota) -> Sequence[Budget]:
        return [budget for budget in quota.budgets if budget.key not in self._spent]

    def learn(self, budget: Budget, spent: int) -> None:
        """What the ledger says, unless it is known already; then it may have been charged meanwhile."""
        if budget.key in self._spent:
            return
        for name in tuple(islice(self._spent, LOOKED_AT)):
            if self._kept_until[name] <= budget.begins:
                del self._spent[name], self._kept_until[name]
            else:
                self._spent.move_to_end(name)
        self._spent[budget.key], self._kept_until[budget.key] = spent, budget.ends + KEPT

    def hold(self, quota: Quota, decision: Decision) -> None:
        """What was decided: so much is held of each."""
        for budget, spent in zip(quota.budgets, decision.spent, strict=True):
            self._spent[budget.key] = spent

    def settle(self, quota: Quota, decision: Decision, actual: Cost) -> None:
        more = costs(actual) - decision.money
        for budget in quota.budgets:
            if budget.key in self._spent:
                self._spent[budget.key] += more
