"""What a decision about budgets is: pure, and the twin of what `limits.lua` decides."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec.structs import replace

from security.limits.api import MOST, Cost, Decision, Limit, Quota


def spend(quota: Quota, money: int, spent: Sequence[int], decision: Decision, tats: Sequence[int]) -> Decision:
    """What was decided about buckets and slots, and about budgets besides. `spent`: millionths of each, without this.

    `tats` are those of the buckets before. A request that costs nothing passes. Budgets have room later than all else.
    """
    levels = zip(quota.budgets, spent, strict=True)
    over = [budget for budget, level in levels if money and level + money > budget.limit]
    refused_by: Limit | None = next((budget for budget in reversed(over) if budget.enforce), decision.refused_by)
    if refused_by is not None:
        wait = 0 if refused_by in over else decision.wait
        return Decision(decision.now, tats, (), (), (), refused_by, wait, 0, spent)
    spent = [level + money for level in spent]
    return replace(decision, waived=[*decision.waived, *over], money=money, spent=spent)


def costs(actual: Cost) -> int:
    """Millionths, whatever a model server said that was used."""
    return min(max(0, actual.money), MOST)
