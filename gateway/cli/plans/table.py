"""Plans of limits, as commands print them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import msgspec

from gateway.cli.output import print_json, print_table

if TYPE_CHECKING:
    from gateway.admin.routes.answers import SeenPlan

HEAD = ("PLAN", "PLAN FROM", "TENANTS", "ENFORCED", "LIMITS")


def print_plans(found: list[SeenPlan], *, as_json: bool) -> None:
    if as_json:
        print_json(msgspec.to_builtins(found))
    else:
        print_table(HEAD, [_row(seen) for seen in found])


def _row(seen: SeenPlan) -> tuple[str, ...]:
    enforced = "yes" if seen.plan.get("enforce", True) else "no"
    return seen.name, seen.set_by, str(seen.tenants), enforced, ", ".join(figures(seen.plan)) or "none"


def figures(plan: dict[str, Any], *, unlimited: bool = False) -> Iterator[str]:
    """Each with whose it is, as in `key requests_per_minute 60` and `tenant budgets.day 25.00`."""
    for holder in ("key", "tenant"):
        yield from told(holder, plan.get(holder, {}), unlimited=unlimited)
    for allowance in plan.get("models", ()):
        yield from told(allowance["model"], allowance, unlimited=unlimited)


def told(holder: str, allowance: dict[str, Any], *, unlimited: bool = False) -> Iterator[str]:
    """`unlimited`: say of what has no limit that it has none."""
    budgets = {f"budgets.{period}": money for period, money in allowance.get("budgets", {}).items()}
    for name, limit in {**allowance, **budgets}.items():
        if name not in ("model", "budgets", "until") and (unlimited or limit is not None):
            yield f"{holder} {name} {'unlimited' if limit is None else limit}"
