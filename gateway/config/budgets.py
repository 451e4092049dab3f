"""What budgets take besides: a ledger that they are counted by, and a price for all that is bought with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence

from gateway.config.quotas import Allowance, Plan

Mistake = tuple[tuple[str | int, ...], str]
"""Its path in the section of quotas, and what is wrong."""


def mistakes(plans: Sequence[Plan], kind: str, models: Mapping[str, str], priced: Collection[str]) -> Iterator[Mistake]:
    """`kind`: of how callers are known; `models`: the names that they may ask for, each with the model that has its
    price; `priced`: those that have one.
    """
    for at, plan in enumerate(plans):
        for path, allowance, named in _allowances(plan):
            if not allowance.budgets:
                continue
            where = ("plans", at, *path, "budgets")
            if kind != "keys":
                yield where, "takes auth.kind keys: what was spent is read from the database of the keys"
            free = sorted(name for name, model in models.items() if named in (None, name) and model not in priced)
            if free:
                yield where, f"{free[0]} has no price: ledger.prices takes an entry for it, of 0 if it costs nothing"


def _allowances(plan: Plan) -> Iterator[tuple[tuple[str | int, ...], Allowance, str | None]]:
    yield ("key",), plan.key, None
    yield ("tenant",), plan.tenant, None
    for nth, allowance in enumerate(plan.models):
        yield ("models", nth), allowance, allowance.model
