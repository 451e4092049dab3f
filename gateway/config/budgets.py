"""What budgets take besides: a ledger that they are counted by, and a price for all that is bought with them."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping

from gateway.config.quotas import Allowance, Mistake, Plan, Quotas


def mistakes(quotas: Quotas, kind: str, models: Mapping[str, str], priced: Collection[str]) -> Iterator[Mistake]:
    """`kind`: of how callers are known; `models`: the names that they may ask for, each with the model that has its
    price; `priced`: those that have one by now.
    """
    for path, allowance, named in _allowances(quotas):
        if not allowance.budgets:
            continue
        where = (*path, "budgets")
        if kind != "keys":
            yield where, "takes auth.kind keys: what was spent is read from the database of the keys"
        if free := unpriced(named, models, priced):
            entry = "an entry for it, of 0 if it costs nothing, that holds already"
            yield where, f"{free[0]} has no price: ledger.prices takes {entry}"


def unpriced(named: str | None, models: Mapping[str, str], priced: Collection[str]) -> list[str]:
    """Those that a budget for the model of that name (None: for any) may be spent on at no price."""
    return sorted(name for name, model in models.items() if named in (None, name) and model not in priced)


def _allowances(quotas: Quotas) -> Iterator[tuple[tuple[str | int, ...], Allowance, str | None]]:
    for path, plan in quotas.policies():
        yield from (((*path, *inside), allowance, named) for inside, allowance, named in allowances(plan))
    for at, override in enumerate(quotas.overrides.keys):
        yield ("overrides", "keys", at), override, None


def allowances(plan: Plan) -> Iterator[tuple[tuple[str | int, ...], Allowance, str | None]]:
    """Each with its path in the plan, and the model that it is for alone."""
    yield ("key",), plan.key, None
    yield ("tenant",), plan.tenant, None
    for nth, allowance in enumerate(plan.models):
        yield ("models", nth), allowance, allowance.model
